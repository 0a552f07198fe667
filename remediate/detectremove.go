package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/remediate-dev/remediate/detect/deploy"
)

// removeWithin is how long the removal is waited for: pods of a node that is down
// cannot end, and the result is shown afterwards.
const removeWithin = 20 * time.Second

// remove takes away what this run made. It works after the run was interrupted, and
// ends at once when it is abandoned.
func (p *probing) remove(ctx context.Context) error {
	if !p.made {
		return nil
	}
	command := deploy.Command(p.at.Namespace, p.at.Host)
	if p.opts.Probes.Keep {
		p.opts.progress("the probes stay in namespace %s; to remove them: %s", p.at.Namespace, command)
		return nil
	}
	p.opts.progress("removing the probes")
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeWithin+30*time.Second)
	defer cancel()
	var again <-chan struct{}
	if ctx.Err() != nil {
		again = p.again()
	}
	go p.abandon(ctx, clean, cancel, again)
	err := p.client.Remove(clean, p.at.Namespace, p.at.Run, removeWithin)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, deploy.ErrTerminating) && clean.Err() == nil:
		p.opts.progress("%v", err)
		return nil
	}
	if errors.Is(clean.Err(), context.Canceled) {
		err = errors.New("their removal was interrupted too")
	}
	return withHint(fmt.Errorf("%w: %w", errLeft, err), "remove them: "+command)
}

// errLeft: there are probes that this run made and could not remove.
var errLeft = errors.New("probes of this run are left")

// again tells that the next interrupt leaves the probes, and waits for that from now
// on: one interrupt that arrives twice is no second one.
func (p *probing) again() <-chan struct{} {
	if p.opts.Abandon == nil {
		return nil
	}
	c := p.opts.Abandon()
	p.opts.progress("interrupt again to leave them")
	return c
}

// abandon cancels the removal at the interrupt after the one that ended the run.
func (p *probing) abandon(ctx, clean context.Context, cancel context.CancelFunc, again <-chan struct{}) {
	if again == nil {
		select {
		case <-clean.Done():
			return
		case <-ctx.Done():
			again = p.again()
		}
	}
	select {
	case <-again:
		cancel()
	case <-clean.Done():
	}
}
