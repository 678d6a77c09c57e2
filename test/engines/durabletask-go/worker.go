package main

import (
	"context"
	"strings"

	"github.com/microsoft/durabletask-go/api"
	"github.com/microsoft/durabletask-go/backend"
	"github.com/microsoft/durabletask-go/task"
	"go.opentelemetry.io/otel"
)

// byName gives the tasks whose names begin with "go-" to a worker in Go in this process, and all others to the workers that
// are connected. The engine has one queue for all of them: it ignores the filters of a worker.
type byName struct {
	backend.Executor
	here backend.Executor
}

func (e byName) of(name string) backend.Executor {
	if strings.HasPrefix(name, "go-") {
		return e.here
	}
	return e.Executor
}

func (e byName) ExecuteOrchestrator(ctx context.Context, id api.InstanceID, past, fresh []*backend.HistoryEvent) (*backend.ExecutionResults, error) {
	for _, events := range [][]*backend.HistoryEvent{past, fresh} {
		for _, event := range events {
			if started := event.GetExecutionStarted(); started != nil {
				return e.of(started.GetName()).ExecuteOrchestrator(ctx, id, past, fresh)
			}
		}
	}
	return e.Executor.ExecuteOrchestrator(ctx, id, past, fresh)
}

func (e byName) ExecuteActivity(ctx context.Context, id api.InstanceID, event *backend.HistoryEvent) (*backend.HistoryEvent, error) {
	return e.of(event.GetTaskScheduled().GetName()).ExecuteActivity(ctx, id, event)
}

// goWorker has what tests call from JavaScript, and what calls tasks in JavaScript.
func goWorker() (backend.Executor, error) {
	registry := task.NewTaskRegistry()
	if err := registry.AddActivityN("go-price", price); err != nil {
		return nil, err
	}
	if err := registry.AddOrchestratorN("go-quote", quote); err != nil {
		return nil, err
	}
	if err := registry.AddOrchestratorN("go-order", order); err != nil {
		return nil, err
	}
	return task.NewTaskExecutor(registry), nil
}

// price has a span of its own, as user code has.
func price(ctx task.ActivityContext) (any, error) {
	_, span := otel.Tracer("user").Start(ctx.Context(), "in activity in Go")
	defer span.End()
	var item string
	if err := ctx.GetInput(&item); err != nil {
		return nil, err
	}
	return len(item), nil
}

// quote stays in Go.
func quote(ctx *task.OrchestrationContext) (any, error) {
	var item string
	if err := ctx.GetInput(&item); err != nil {
		return nil, err
	}
	var result int
	if err := ctx.CallActivity("go-price", task.WithActivityInput(item)).Await(&result); err != nil {
		return nil, err
	}
	return result, nil
}

// order calls an activity and a sub-orchestration that are in JavaScript.
func order(ctx *task.OrchestrationContext) (any, error) {
	var item string
	if err := ctx.GetInput(&item); err != nil {
		return nil, err
	}
	var charged string
	if err := ctx.CallActivity("charge", task.WithActivityInput(item)).Await(&charged); err != nil {
		return nil, err
	}
	var shipped string
	if err := ctx.CallSubOrchestrator("ship", task.WithSubOrchestratorInput(item)).Await(&shipped); err != nil {
		return nil, err
	}
	return charged + ", " + shipped, nil
}
