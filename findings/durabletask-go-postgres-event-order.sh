#!/usr/bin/env bash
# github.com/microsoft/durabletask-go 0.6.0 on PostgreSQL: the events of one work item come in any order. They are taken with
# UPDATE ... WHERE SequenceNumber IN (SELECT ...) RETURNING, which has no order; on SQLite they come as they were written.
# Needs Go, and PostgreSQL's `initdb` and `postgres`; seconds where Go has built the modules before, else most of a minute.
set -euo pipefail
directory=$(mktemp -d)
cd "$directory"
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -1 || command -v initdb)")
as=()
if [ "$(id -u)" -eq 0 ]; then # PostgreSQL refuses to run as root.
  chown nobody "$directory"
  as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
fi
"${as[@]}" "$bin/initdb" -D "$directory/data" -U probe -A trust --no-sync >/dev/null
"${as[@]}" "$bin/postgres" -D "$directory/data" -h '' -k "$directory" >/dev/null 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
mkdir probe
cd probe
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/microsoft/durabletask-go/api"
	"github.com/microsoft/durabletask-go/backend"
	"github.com/microsoft/durabletask-go/backend/postgres"
)

// events writes nine events for an instance, and reads them as one work item.
func events(ctx context.Context, client backend.TaskHubClient, be backend.Backend, instance int) (string, error) {
	id := api.InstanceID(fmt.Sprint("instance", instance))
	if _, err := client.ScheduleNewOrchestration(ctx, "order", api.WithInstanceID(id)); err != nil {
		return "", err
	}
	for event := 1; event < 9; event++ {
		if err := client.RaiseEvent(ctx, id, fmt.Sprint(event)); err != nil {
			return "", err
		}
	}
	item, err := be.GetOrchestrationWorkItem(ctx)
	if err != nil {
		return "", err
	}
	var order []string
	for _, event := range item.NewEvents {
		if raised := event.GetEventRaised(); raised != nil {
			order = append(order, raised.GetName())
		} else {
			order = append(order, "start")
		}
	}
	return strings.Join(order, " "), nil
}

func main() {
	config, err := pgxpool.ParseConfig("host=" + os.Args[1] + " user=probe dbname=postgres")
	if err != nil {
		panic(err)
	}
	be := postgres.NewPostgresBackend(&postgres.PostgresOptions{PgOptions: config, OrchestrationLockTimeout: time.Minute, ActivityLockTimeout: time.Minute}, backend.DefaultLogger())
	ctx := context.Background()
	if err := be.CreateTaskHub(ctx); err != nil {
		panic(err)
	}
	client := backend.NewTaskHubClient(be)
	mixed := 0
	for instance := 1; instance <= 5; instance++ {
		order, err := events(ctx, client, be, instance)
		if err != nil {
			panic(err)
		}
		fmt.Println("one work item:", order)
		if order != "start 1 2 3 4 5 6 7 8" {
			mixed++
		}
	}
	fmt.Println("not in the order in which they were written:", mixed, "of 5")
	if mixed == 0 {
		os.Exit(1)
	}
}
GO
go mod init probe >/dev/null 2>&1
go get github.com/microsoft/durabletask-go@v0.6.0 >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
go build -o ../probe.bin .
until "${as[@]}" "$bin/pg_isready" -q -h "$directory"; do sleep 0.1; done
echo "github.com/microsoft/durabletask-go $(go list -m -f '{{.Version}}' github.com/microsoft/durabletask-go), $("$bin/postgres" --version)"
../probe.bin "$directory"
