// A task hub that speaks Dapr's workflow protocol: the engine inside Dapr's sidecar, github.com/dapr/durabletask-go, over
// gRPC, with its SQLite backend. It prints "listening on HOST:PORT" when it accepts connections, and ends when its input
// ends, so that it never outlives the program that started it.
package main

import (
	"context"
	"flag"
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

var (
	port       = flag.Int("port", 0, "the TCP port on 127.0.0.1; 0 for any free one")
	sqlitePath = flag.String("sqlite", "", "the file of the SQLite database; in memory if empty")
	otlp       = flag.String("otlp", "", "the host and port of an OTLP/HTTP receiver for the engine's own spans; none are made if empty")
)

func main() {
	flag.Parse()
	// The engine logs each work item.
	log.SetOutput(io.Discard)
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	// First, so that nothing is in the database if the port is in use.
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		return err
	}
	stopTracing, err := startTracing(ctx)
	if err != nil {
		return err
	}
	defer stopTracing()
	logger := backend.DefaultLogger()
	hub := sqlite.NewSqliteBackend(sqlite.NewSqliteOptions(*sqlitePath), logger)
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
	fmt.Printf("listening on %s\n", listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	return server.Serve(listener)
}

func startTracing(ctx context.Context) (func(), error) {
	if *otlp == "" {
		return func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(*otlp), otlptracehttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, sdktrace.WithBatchTimeout(100*time.Millisecond)))
	otel.SetTracerProvider(provider)
	return func() {
		_ = provider.Shutdown(context.Background())
	}, nil
}
