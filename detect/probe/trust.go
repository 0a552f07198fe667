package probe

import (
	"context"
	"net/netip"
	"time"

	"github.com/remediate-dev/remediate/api/probe/v1alpha1"
	"github.com/remediate-dev/remediate/detect/mesh"
)

const (
	// askAgain is when a target that did not answer over TCP either is asked again
	// whether it accepts the key.
	askAgain = time.Minute
	// maxProofs bounds their number; a target whose proof was forgotten is asked anew.
	maxProofs = 1024
)

// proof is that the target at an address has accepted a key or, with an end, that
// it could not be asked.
type proof struct {
	key string
	end time.Time
}

// trust notes that a target answered the present key.
func (p *Prober) trust(to netip.Addr, r verdict) {
	if r.outcome == v1alpha1.OutcomeOK {
		p.note(to, time.Time{})
	}
}

func (p *Prober) note(to netip.Addr, end time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proofs == nil || len(p.proofs) >= maxProofs {
		p.proofs = map[netip.Addr]proof{}
	}
	p.proofs[to] = proof{string(p.Keys.signing()), end}
}

func (p *Prober) isTrusted(to netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.proofs[to]
	return ok && last.key == string(p.Keys.signing()) && (last.end.IsZero() || p.now().Before(last.end))
}

// doubt looks again at silence over UDP. Nobody answers a request there whose key
// it does not know, so while a new key is being rolled out silence says nothing of
// the network. Unless the target has accepted the key before, it is asked over
// TCP, where it says so.
func (p *Prober) doubt(ctx context.Context, c mesh.Check, to netip.AddrPort, r verdict) verdict {
	ours := p.Keys != nil && c.Protocol == mesh.UDP && c.Via != mesh.ViaDNS && c.Via != mesh.ViaExternal
	if !ours || r.outcome != v1alpha1.OutcomeTimeout || p.isTrusted(to.Addr()) {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout()/2)
	defer cancel()
	c.Protocol, c.Bytes = mesh.TCP, 0
	if again := p.tcp(ctx, c, to); again.outcome == v1alpha1.OutcomeNotChecked && again.reason == errKey.Error() {
		return again
	}
	if !p.isTrusted(to.Addr()) {
		p.note(to.Addr(), p.now().Add(askAgain))
	}
	return r
}
