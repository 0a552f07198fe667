package remediate

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/observe"
	"github.com/remediate-dev/remediate/detect/passive"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

const (
	// metricsEvery is how often agents are asked for their metrics, metricsSeldom where
	// none of them can be read: each is a request through the API server.
	metricsEvery  = 15 * time.Second
	metricsSeldom = 10 * time.Minute
)

// AgentMetrics reads the metrics of a cluster's agents, and not more often than is fit.
// Its methods may be called at the same time.
type AgentMetrics struct {
	Cluster *rest.Config
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Ask asks the agents; nil asks those of Cluster.
	Ask func(context.Context) []snapshot.AgentMetrics

	mu   sync.Mutex
	at   time.Time
	read []snapshot.AgentMetrics
}

// Read gives what was read last, and when it was asked for. Who may not get pods/proxy
// reads nothing.
func (a *AgentMetrics) Read(ctx context.Context) ([]snapshot.AgentMetrics, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	every := metricsEvery
	if len(a.read) == 0 {
		every = metricsSeldom
	}
	if now := a.now(); a.at.IsZero() || now.Sub(a.at) >= every {
		a.at, a.read = now, a.ask(ctx)
	}
	return a.read, a.at
}

func (a *AgentMetrics) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}
	return time.Now()
}

func (a *AgentMetrics) ask(ctx context.Context) []snapshot.AgentMetrics {
	if a.Ask != nil {
		return a.Ask(ctx)
	}
	all, _ := passive.Cluster{Config: a.Cluster, Namespace: observe.DefaultCiliumNamespace, Within: witnessWithin}.Metrics(ctx)
	return all
}
