//go:build linux

package cilium

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// policyTime is how long the agents may take to enforce a policy.
const policyTime = time.Minute

// ApplyPolicy creates or changes a NetworkPolicy or one of Cilium's, given as YAML,
// and returns when every agent that runs enforces it.
func (c *Cluster) ApplyPolicy(t testing.TB, text string) {
	t.Helper()
	o, err := object(text)
	must(t, err)
	must(t, c.whenRevised(func() (bool, error) {
		before, err := c.version(t.Context(), o)
		if err == nil {
			err = c.apply(t.Context(), o)
		}
		if err != nil {
			return false, err
		}
		after, err := c.version(t.Context(), o)
		return after != before, err
	}))
}

// version is the object's resource version, empty when it is not there.
func (c *Cluster) version(ctx context.Context, o *unstructured.Unstructured) (string, error) {
	have := &unstructured.Unstructured{}
	have.SetGroupVersionKind(o.GroupVersionKind())
	err := c.Client.Get(ctx, client.ObjectKeyFromObject(o), have)
	return have.GetResourceVersion(), client.IgnoreNotFound(err)
}

// DeletePolicy deletes what ApplyPolicy made and returns when no agent that runs
// enforces it.
func (c *Cluster) DeletePolicy(t testing.TB, text string) {
	t.Helper()
	o, err := object(text)
	must(t, err)
	must(t, c.whenRevised(func() (bool, error) {
		err := c.Client.Delete(t.Context(), o)
		return err == nil, client.IgnoreNotFound(err)
	}))
}

// Apply creates or changes any object, given as YAML.
func (c *Cluster) Apply(t testing.TB, text string) {
	t.Helper()
	o, err := object(text)
	must(t, err)
	must(t, c.apply(t.Context(), o))
}

func (c *Cluster) apply(ctx context.Context, o *unstructured.Unstructured) error {
	return c.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner("testbed"), client.ForceOwnership)
}

func object(text string) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		return nil, fmt.Errorf("the object is no YAML: %w", err)
	}
	if o.GetKind() == "" || o.GetName() == "" {
		return nil, errors.New("the object has no kind or no name")
	}
	return o, nil
}

// whenRevised does something that changes policies, if it says so, and waits until all
// agents have counted a new revision and their pods have it.
func (c *Cluster) whenRevised(do func() (changed bool, err error)) error {
	before := map[*Node]int64{}
	for _, n := range c.Nodes {
		if n.agent == nil || n.agent.ended() {
			continue
		}
		revision, err := n.policyRevision()
		if err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		before[n] = revision
	}
	if changed, err := do(); err != nil || !changed {
		return err
	}
	for n, old := range before {
		err := n.agent.until("the policy was enforced", policyTime, func() error {
			now, err := n.policyRevision()
			if err == nil && now == old {
				err = fmt.Errorf("its policies are still at revision %d", old)
			}
			if err != nil {
				return err
			}
			return n.realized(now)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
