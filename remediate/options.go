package remediate

import (
	"fmt"
	"net/netip"
	"time"

	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Options say what to plan for and where the facts come from.
type Options struct {
	// Repo is a directory inside a checkout, or a URL to clone.
	Repo string
	// Release (NAMESPACE/NAME) and ClusterPath choose among several.
	Release, ClusterPath string
	// Chart is a directory or archive that stands in for the release's own chart.
	Chart string
	// CacheDir keeps pulled charts; empty means none are kept.
	CacheDir string
	// Offline: never pull a chart or clone a repository.
	Offline bool

	// Snapshot is a directory or an archive; Cluster an API server. At most one.
	Snapshot    string
	Cluster     *rest.Config
	ClusterName string
	// ClusterOptional: a cluster that does not answer is noted, not an error.
	ClusterOptional bool
	ClusterTimeout  time.Duration

	// Facts by hand.
	PodCIDRs, ServiceCIDRs, NodeCIDRs []string
	CiliumVersion                     string

	AllowRemoteBases bool
	// WithCopies changes the places too that install Cilium besides Flux with the
	// same values: helmfiles, Talos inline manifests and the like.
	WithCopies bool
	// ExplainInFile writes a short comment with the reason above each changed value.
	ExplainInFile bool
	// Earlier is a plan of the same repository, whose history stands in where this
	// clone's is cut: what was tried stays known.
	Earlier *Result
	// Probes are reports that count besides those of the snapshot or the cluster.
	Probes []v1alpha1.ProbeReport
	// Confirmed are findings that met the quorum of their signature; the plan's own
	// findings of the same cause are confirmed by them.
	Confirmed []v1alpha1.Finding
	// Tried are candidates that were active on every agent and did not help, by id,
	// with what became of them. They are not proposed again.
	Tried map[string]v1alpha1.Tried
	// Progress is told what happens; nil is silent.
	Progress func(format string, args ...any)
}

func (o *Options) progress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(format, args...)
	}
}

// Error is an error with a hint for the person reading it.
type Error struct {
	Err  error
	hint string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Hint says what to do next.
func (e *Error) Hint() string { return e.hint }

func withHint(err error, hint string) error { return &Error{Err: err, hint: hint} }

// validate checks what can be checked before anything is read.
func (o *Options) validate() error {
	if o.Snapshot != "" && o.Cluster != nil && !o.ClusterOptional {
		return withHint(fmt.Errorf("--snapshot and --context contradict each other"), "give the one that the facts should come from")
	}
	if o.Offline && o.AllowRemoteBases {
		return withHint(fmt.Errorf("--offline and --allow-remote-bases contradict each other"), "drop one of them")
	}
	for _, f := range []struct {
		flag   string
		values []string
	}{{"--pod-cidr", o.PodCIDRs}, {"--service-cidr", o.ServiceCIDRs}, {"--node-cidr", o.NodeCIDRs}} {
		for _, v := range f.values {
			if _, err := netip.ParsePrefix(v); err != nil {
				return fmt.Errorf("%s %q is no CIDR: %w", f.flag, v, err)
			}
		}
	}
	return nil
}
