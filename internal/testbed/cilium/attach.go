//go:build linux

package cilium

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Attach gives a pod whose object somebody else made and reports of, as a kubelet
// does, its network, and returns when its node's agent has loaded its programs.
func (c *Cluster) Attach(ctx context.Context, o *corev1.Pod) (*Pod, error) {
	n := c.Node(o.Spec.NodeName)
	if n != nil && !n.Runs() {
		return nil, fmt.Errorf("pod %s/%s: no agent runs on %s that could give it a network", o.Namespace, o.Name, n.Name)
	}
	p, err := c.newPod(PodSpec{Namespace: o.Namespace, Name: o.Name, Node: o.Spec.NodeName, Labels: o.Labels})
	if err != nil {
		return nil, err
	}
	p.uid = string(o.UID)
	if err := p.join(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("pod %s/%s: %w", o.Namespace, o.Name, err), c.Detach(ctx, p))
	}
	c.mu.Lock()
	c.pods = append(c.pods, p)
	c.mu.Unlock()
	if err := p.untilProgrammed(); err != nil {
		return nil, errors.Join(err, c.Detach(ctx, p))
	}
	return p, nil
}

// Detach ends a pod of [Cluster.Attach] and what runs in it. An agent that does not run
// finds at its next start that the pod has gone.
func (c *Cluster) Detach(ctx context.Context, p *Pod) error {
	c.mu.Lock()
	c.pods = slices.DeleteFunc(c.pods, func(other *Pod) bool { return other == p })
	c.mu.Unlock()
	p.hangUp()
	var err error
	if p.Node.Runs() {
		_, err = p.plugin(ctx, "DEL")
	}
	c.Lab.Remove(p.Space)
	return errors.Join(err, removeGroup(p.group))
}

// Runs says whether the node has an agent.
func (n *Node) Runs() bool { return n.agent != nil && !n.agent.ended() }
