package cloud

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/yunduo-scrm/archive/local/cloud/lambda"
	"github.com/yunduo-scrm/archive/local/cloud/template"
)

// schedule invokes the function periodically. As EventBridge does, it invokes the
// function even if the last invocation has not ended. Lambda would repeat a
// failed invocation twice. schedule does not, since the next invocation is due
// soon.
func (c *Cloud) schedule(ctx context.Context, f *lambda.Function, id string, s template.Schedule) {
	var invocations sync.WaitGroup
	defer invocations.Wait()
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			invocations.Go(func() { c.invokeScheduled(ctx, f, id, s.Name, now) })
		case <-ctx.Done():
			return
		}
	}
}

func (c *Cloud) invokeScheduled(ctx context.Context, f *lambda.Function, id, name string, now time.Time) {
	event, err := json.Marshal(map[string]any{
		"version": "0", "id": lambda.NewID(), "detail-type": "Scheduled Event", "source": "aws.events",
		"account": c.Stack.Account, "time": now.UTC().Format(time.RFC3339), "region": c.Stack.Region,
		"resources": []string{c.Stack.ARN("events", "rule/"+c.options.StackName+"-"+id+name)},
		"detail":    map[string]any{},
	})
	if err == nil {
		_, err = f.Invoke(ctx, event)
	}
	if err != nil && ctx.Err() == nil {
		c.options.Log.Error("scheduled invocation failed", "function", id, "err", err)
	}
}
