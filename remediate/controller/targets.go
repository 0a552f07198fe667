package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// secretsAgain is how long a target that was reached is kept before its Secrets are
// read again: nobody watches those.
const secretsAgain = 5 * time.Minute

// Targets keeps the targets of policies, so that a quiet cluster is not asked for
// the same Secrets every minute.
type Targets struct {
	*resolver
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	mu   sync.Mutex
	kept map[types.NamespacedName]keptTarget
}

type keptTarget struct {
	*target
	state string
	until time.Time
}

// of is the policy's target. When there is an error it holds what was found so far.
func (t *Targets) of(ctx context.Context, p *v1alpha1.RemediationPolicy) (*target, error) {
	key, now := client.ObjectKeyFromObject(p), time.Now()
	if t.Now != nil {
		now = t.Now()
	}
	state, err := t.state(ctx, p)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	kept, ok := t.kept[key]
	t.mu.Unlock()
	if ok && kept.state == state && now.Before(kept.until) {
		return kept.target, nil
	}
	found, err := t.resolve(ctx, p)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.kept, key)
	if err != nil {
		return found, err
	}
	if t.kept == nil {
		t.kept = map[types.NamespacedName]keptTarget{}
	}
	t.kept[key] = keptTarget{found, state, now.Add(secretsAgain)}
	return found, nil
}

// Drop forgets a policy's target, so that all is read again.
func (t *Targets) Drop(policy types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.kept, policy)
}

// state changes when anything that a target is made of does, but for Secrets.
func (t *Targets) state(ctx context.Context, p *v1alpha1.RemediationPolicy) (string, error) {
	found := &target{}
	if err := t.findRelease(ctx, p, found); err != nil {
		return "", nil // resolving says so, with what was found
	}
	o, err := t.origin(ctx, p, found)
	if err != nil {
		return "", nil
	}
	return digest(p.UID, p.Generation, p.Annotations[reconcileRequested], found.object.ResourceVersion, found.release, o), nil
}
