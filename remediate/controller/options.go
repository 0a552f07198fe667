package controller

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fluxcd/pkg/runtime/acl"
	fluxclient "github.com/fluxcd/pkg/runtime/client"
	fluxcontroller "github.com/fluxcd/pkg/runtime/controller"
	"github.com/fluxcd/pkg/runtime/jitter"
	"github.com/fluxcd/pkg/runtime/leaderelection"
	"github.com/fluxcd/pkg/runtime/logger"
	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
)

// Name of the controller in events, leases and metrics.
const Name = "remediate-controller"

// LeaseName is the Lease by which one of several replicas acts. The Role names it
// (config/rbac/system_role.yaml).
const LeaseName = "remediate-leader-election"

// Options of the controller, with Flux's flags for them.
type Options struct {
	// MetricsAddr and HealthAddr are where it listens; "0" is nowhere. EventsAddr is
	// the notification-controller's; empty: Kubernetes events only.
	MetricsAddr, HealthAddr, EventsAddr string
	// APIServer is the API server's address where the cluster's own is out of reach;
	// see [ReachAPI].
	APIServer string
	// Namespace that it runs in; WatchAllNamespaces looks at policies everywhere.
	Namespace          string
	WatchAllNamespaces bool
	// Concurrent is how many Remediations are worked on at the same time.
	Concurrent int
	// Storage is a folder of this process alone, for clones and charts that need not
	// outlive it.
	Storage string

	// Logger of the manager; the zero value is the process's.
	Logger logr.Logger

	ACL            acl.Options
	Client         fluxclient.Options
	Jitter         jitter.IntervalOptions
	LeaderElection leaderelection.Options
	Log            logger.Options
	RateLimiter    fluxcontroller.RateLimiterOptions
}

// The ports are off those of Flux's controllers and Cilium's agents (8080, 9440,
// 9962…), as the controller shares the node's network.
const (
	defaultMetricsAddr = ":9790"
	defaultHealthAddr  = ":9791"
	// Three renewals of the lease a minute are enough for who looks once a minute.
	leaseDuration = 60 * time.Second
	renewDeadline = 40 * time.Second
	retryPeriod   = 15 * time.Second
)

// complete fills in what the environment decides, and checks the rest.
func (o *Options) complete() error {
	if o.Namespace == "" {
		o.Namespace = os.Getenv(fluxcontroller.EnvRuntimeNamespace)
	}
	if o.Storage == "" {
		o.Storage = filepath.Join(os.TempDir(), "remediate")
	}
	switch {
	case o.Namespace == "" && (o.LeaderElection.Enable || !o.WatchAllNamespaces):
		return errors.New("the namespace that the controller runs in is not known: set RUNTIME_NAMESPACE or --runtime-namespace")
	case o.Concurrent < 1:
		return fmt.Errorf("--concurrent %d: it is 1 at least", o.Concurrent)
	}
	// What a process left that was killed is of no use.
	err := errors.Join(os.RemoveAll(filepath.Join(o.Storage, "clones")), os.MkdirAll(filepath.Join(o.Storage, "clones"), 0o700))
	if err != nil {
		return fmt.Errorf("--storage: %w", err)
	}
	return nil
}

// BindFlags adds the flags.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.MetricsAddr, "metrics-addr", defaultMetricsAddr, "address that metrics are served at; 0 serves none")
	fs.StringVar(&o.HealthAddr, "health-addr", defaultHealthAddr, "address of /healthz and /readyz; 0 serves none")
	fs.StringVar(&o.EventsAddr, "events-addr", "", "address of Flux's notification-controller; without it there are Kubernetes events alone")
	fs.StringVar(&o.APIServer, "api-server", "", "https address of the API server; without it the cluster's own, and where that does not answer, one on this node (KubePrism, k3s, kubeadm)")
	fs.StringVar(&o.Namespace, "runtime-namespace", "", "namespace that the controller runs in; without it $"+fluxcontroller.EnvRuntimeNamespace)
	fs.BoolVar(&o.WatchAllNamespaces, "watch-all-namespaces", true, "look after policies of all namespaces; otherwise only of the one that the controller runs in")
	fs.IntVar(&o.Concurrent, "concurrent", 4, "how many Remediations are worked on at the same time")
	fs.StringVar(&o.Storage, "storage", "", "folder for clones and charts, of this process alone; without it one for temporary files")
	o.ACL.BindFlags(fs)
	o.Client.BindFlags(fs)
	o.Jitter.BindFlags(fs)
	o.LeaderElection.BindFlags(fs)
	o.Log.BindFlags(fs)
	o.RateLimiter.BindFlags(fs)
	for name, d := range map[string]time.Duration{
		"leader-election-lease-duration": leaseDuration, "leader-election-renew-deadline": renewDeadline, "leader-election-retry-period": retryPeriod,
	} {
		if f := fs.Lookup(name); f != nil {
			_ = f.Value.Set(d.String())
			f.DefValue = d.String()
		}
	}
}
