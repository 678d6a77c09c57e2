// A task hub for tests: durabletask-go with its gRPC service, on SQLite or PostgreSQL, as a program of its own. It has a
// worker in Go.
//
// It prints "listening on HOST:PORT" when it accepts connections, and ends when its input ends or on SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/microsoft/durabletask-go/backend"
	"github.com/microsoft/durabletask-go/backend/postgres"
	"github.com/microsoft/durabletask-go/backend/sqlite"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

var (
	port        = flag.Int("port", 0, "the TCP port on 127.0.0.1; 0 for any free one")
	sqlitePath  = flag.String("sqlite", "", "the file of the SQLite database; in memory if empty")
	postgresURL = flag.String("postgres", "", "the URL of a PostgreSQL database, used instead of SQLite")
	isolation   = flag.String("isolation", "", "the isolation level of all transactions in PostgreSQL; several hubs need \"repeatable read\"")
	otlp        = flag.String("otlp", "", "the host and port of an OTLP/HTTP receiver for the engine's own spans; none are made if empty")
	lockTimeout = flag.Duration("lock-timeout", 2*time.Minute, "how long a hub that died keeps its work items")
	parallelism = flag.Int("parallelism", 100, "how many orchestrations and how many activities may run at once")
)

func main() {
	flag.Parse()
	// The backend for PostgreSQL panics where there is no server.
	defer func() {
		if reason := recover(); reason != nil {
			fmt.Fprintln(os.Stderr, "durabletask-go:", reason)
			os.Exit(1)
		}
	}()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "durabletask-go:", err)
		os.Exit(1)
	}
}

func run() error {
	// The engine logs each work item.
	log.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// First, so that nothing is in the database if the port is in use.
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		return err
	}
	flush, err := startTracing(ctx)
	if err != nil {
		return err
	}
	be, err := newBackend()
	if err != nil {
		return err
	}
	logger := quiet{}
	remote, register := backend.NewGrpcExecutor(be, logger)
	here, err := goWorker()
	if err != nil {
		return err
	}
	executor := byName{Executor: remote, here: here}
	server := grpc.NewServer()
	register(server)
	parallel := backend.WithMaxParallelism(int32(*parallelism))
	worker := backend.NewTaskHubWorker(be,
		backend.NewOrchestrationWorker(be, executor, logger, parallel),
		backend.NewActivityTaskWorker(be, executor, logger, parallel),
		logger)
	if err := worker.Start(ctx); err != nil {
		return fmt.Errorf("the backend did not start: %w", err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Printf("listening on %v\n", listener.Addr())
	inputEnded := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(inputEnded)
	}()
	select {
	case err = <-served:
	case <-ctx.Done():
	case <-inputEnded:
	}
	// Work items that a worker still has would keep the engine from draining.
	server.Stop()
	return errors.Join(err, flush())
}

func startTracing(ctx context.Context) (func() error, error) {
	if *otlp == "" {
		return func() error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(*otlp), otlptracehttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	provider := trace.NewTracerProvider(
		trace.WithBatcher(exporter, trace.WithBatchTimeout(20*time.Millisecond)),
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", "durabletask-go"))))
	otel.SetTracerProvider(provider)
	return func() error {
		deadline, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return provider.Shutdown(deadline)
	}, nil
}

func newBackend() (backend.Backend, error) {
	if *postgresURL == "" {
		options := sqlite.NewSqliteOptions(*sqlitePath)
		options.OrchestrationLockTimeout = *lockTimeout
		options.ActivityLockTimeout = *lockTimeout
		return prompt{sqlite.NewSqliteBackend(options, quiet{})}, nil
	}
	config, err := pgxpool.ParseConfig(*postgresURL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 8
	if *isolation != "" {
		config.ConnConfig.RuntimeParams["default_transaction_isolation"] = *isolation
	}
	return prompt{postgres.NewPostgresBackend(&postgres.PostgresOptions{
		PgOptions:                config,
		OrchestrationLockTimeout: *lockTimeout,
		ActivityLockTimeout:      *lockTimeout,
	}, quiet{})}, nil
}

// prompt looks for work every few milliseconds. The engine alone looks less and less often, up to every five seconds.
type prompt struct{ backend.Backend }

const pollInterval = 5 * time.Millisecond

func (p prompt) GetOrchestrationWorkItem(ctx context.Context) (*backend.OrchestrationWorkItem, error) {
	return poll(ctx, p.Backend.GetOrchestrationWorkItem)
}

func (p prompt) GetActivityWorkItem(ctx context.Context) (*backend.ActivityWorkItem, error) {
	return poll(ctx, p.Backend.GetActivityWorkItem)
}

func poll[T any](ctx context.Context, fetch func(context.Context) (*T, error)) (*T, error) {
	for {
		item, err := fetch(ctx)
		if !errors.Is(err, backend.ErrNoWorkItems) && !isTaken(err) {
			return item, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}

// isTaken tells whether another hub took the work item at the same time, which shows at the level "repeatable read".
func isTaken(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && failure.Code == "40001"
}

// quiet is a logger that writes errors alone.
type quiet struct{}

func (quiet) Debug(...any)                   {}
func (quiet) Debugf(string, ...any)          {}
func (quiet) Info(...any)                    {}
func (quiet) Infof(string, ...any)           {}
func (quiet) Warn(...any)                    {}
func (quiet) Warnf(string, ...any)           {}
func (quiet) Error(v ...any)                 { fmt.Fprintln(os.Stderr, v...) }
func (quiet) Errorf(format string, v ...any) { fmt.Fprintf(os.Stderr, format+"\n", v...) }
