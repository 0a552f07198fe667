package probe

import (
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/remediate-dev/remediate/internal/cidr"
)

const (
	// heardFor is how long it is remembered that a node's request arrived, and
	// maxHeard how many nodes are: ten ask within a round, more while they look
	// into failures.
	heardFor = time.Minute
	maxHeard = 2048
)

// heard notes whose requests arrived. The zero value is ready.
type heard struct {
	mu sync.Mutex
	at map[sender]time.Time
}

type sender struct{ node, pod, family string }

func (h *heard) note(node, pod string, source netip.Addr, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.at) >= maxHeard {
		maps.DeleteFunc(h.at, func(_ sender, at time.Time) bool { return now.Sub(at) > heardFor })
	}
	if h.at == nil {
		h.at = map[sender]time.Time{}
	}
	s := sender{node, pod, cidr.Family(source)}
	if _, known := h.at[s]; known || len(h.at) < maxHeard {
		h.at[s] = now
	}
}

// Heard says how long ago a request of a probe, by its node and pod, last arrived
// over an address family; ok is false when none did for a minute. Requests prove who sent them by
// the shared key.
func (r *Reflector) Heard(node, pod, family string) (ago time.Duration, ok bool) {
	r.heard.mu.Lock()
	defer r.heard.mu.Unlock()
	at, ok := r.heard.at[sender{node, pod, family}]
	if !ok {
		return 0, false
	}
	ago = time.Since(at)
	return ago, ago <= heardFor
}
