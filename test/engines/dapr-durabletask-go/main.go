// A task hub that speaks Dapr's workflow protocol: the engine inside Dapr's sidecar, github.com/dapr/durabletask-go, over
// gRPC, with its SQLite backend. It prints its address and ends when its standard input ends, so that it never outlives
// the program that started it.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/dapr/durabletask-go/backend"
	"github.com/dapr/durabletask-go/backend/sqlite"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	stopTracing, err := startTracing(ctx)
	if err != nil {
		return err
	}
	defer stopTracing()
	logger := backend.DefaultLogger()
	// An empty path is a database in memory.
	hub := sqlite.NewSqliteBackend(sqlite.NewSqliteOptions(os.Getenv("HUB_DATABASE")), logger)
	executor, register := backend.NewGrpcExecutor(hub, logger)
	server := grpc.NewServer()
	register(server)
	worker := backend.NewTaskHubWorker(
		hub,
		backend.NewWorkflowWorker(backend.WorkflowWorkerOptions{Backend: hub, Executor: executor, Logger: logger, AppID: "test"}),
		backend.NewActivityTaskWorker(hub, executor, logger),
		logger,
	)
	if err := worker.Start(ctx); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return server.Serve(listener)
}

// The engine makes spans of its own where OTEL_EXPORTER_OTLP_ENDPOINT says where to send them.
func startTracing(ctx context.Context) (func(), error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(100*time.Millisecond)))
	otel.SetTracerProvider(provider)
	return func() {
		_ = provider.Shutdown(context.Background())
	}, nil
}
