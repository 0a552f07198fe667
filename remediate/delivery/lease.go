package delivery

import (
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// LeaseOf is the name of a controller's Lease in Flux's namespace (main.go of
// the controllers: its name and "-leader-election").
func LeaseOf(app string) string { return app + "-leader-election" }

// Leases are the names of those whose age tells whether Flux reaches the API
// server.
func Leases() []string {
	var out []string
	for _, app := range apps() {
		out = append(out, LeaseOf(app))
	}
	return out
}

// defaultLease is the lease duration of Flux's controllers
// (fluxcd/pkg/runtime/leaderelection).
const defaultLease = 35 * time.Second

// Reached reads from Leases whether each controller reaches the API server: its
// leader renews the Lease every few seconds, and gives up after its duration. A
// Lease that is two to five durations old tells nothing: the two clocks may
// differ. Leases that are missing are unknown: Flux may run without election.
func Reached(leases []coordinationv1.Lease, now time.Time) map[string]Reach {
	out := map[string]Reach{}
	for _, app := range apps() {
		for i := range leases {
			if leases[i].Name == LeaseOf(app) && leases[i].Spec.RenewTime != nil {
				out[app] = reached(app, &leases[i], now)
			}
		}
	}
	return out
}

func reached(app string, l *coordinationv1.Lease, now time.Time) Reach {
	duration := defaultLease
	if s := l.Spec.LeaseDurationSeconds; s != nil && *s > 0 && *s <= 3600 {
		duration = time.Duration(*s) * time.Second
	}
	age := max(0, now.Sub(l.Spec.RenewTime.Time)).Round(time.Second)
	r := Reach{Because: fmt.Sprintf("%s renewed its Lease %s ago, which it does within %s", app, age, duration)}
	switch {
	case age <= 2*duration:
		r.Works = snapshot.Yes
	case age > 5*duration:
		r.Works = snapshot.No
		r.Because = fmt.Sprintf("%s has not renewed its Lease for %s, which it does within %s", app, age, duration)
	}
	return r
}
