package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// ErrTerminating is a removal that was asked for and is not over yet.
var ErrTerminating = errors.New("the namespace is still terminating")

// goneEvery is how often it is asked whether a namespace is gone.
const goneEvery = 500 * time.Millisecond

// Remove takes away what a run made: in the namespace and its host twin, only
// what carries the run's id, and the namespaces themselves if they do. The
// DaemonSets go first and by name, so that the pods end even where the removal of
// a namespace hangs on something else. It waits for at most the given time until
// the namespaces are gone; [ErrTerminating] says that they were not.
func (c *Client) Remove(ctx context.Context, namespace, run string, patience time.Duration) error {
	if run == "" {
		return errors.New("probes of an installation are not removed: delete them the way they were installed")
	}
	var errs []error
	for _, ns := range []string{namespace, HostNamespace(namespace)} {
		errs = append(errs, c.empty(ctx, ns, run))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, ns := range []string{namespace, HostNamespace(namespace)} {
		if err := c.awaitGone(ctx, ns, run, patience); err != nil {
			return err
		}
	}
	return nil
}

// empty removes a run's objects of a namespace, then the namespace.
func (c *Client) empty(ctx context.Context, namespace, run string) error {
	ours, ending, err := c.hasRun(ctx, namespace, run)
	if err != nil || !ours {
		return err
	}
	only := metav1.ListOptions{LabelSelector: LabelRun + "=" + run}
	background := metav1.DeletePropagationBackground
	opts := metav1.DeleteOptions{PropagationPolicy: &background}
	errs := []error{
		removed(namespace, "DaemonSets", c.deleteDaemonSets(ctx, namespace, only, opts)),
		removed(namespace, "NetworkPolicies", c.deletePolicies(ctx, namespace, only, opts)),
		removed(namespace, "Services", c.deleteServices(ctx, namespace, only, opts)),
		removed(namespace, "ConfigMaps", c.deleteMembers(ctx, namespace, opts)),
		removed(namespace, "Secret "+KeyName, c.Kube.CoreV1().Secrets(namespace).Delete(ctx, KeyName, opts)),
	}
	if !ending {
		errs = append(errs, removed(namespace, "the namespace", c.Kube.CoreV1().Namespaces().Delete(ctx, namespace, opts)))
	}
	return errors.Join(errs...)
}

// hasRun says whether the namespace is there and carries the run's id, and whether
// it is being removed already.
func (c *Client) hasRun(ctx context.Context, namespace, run string) (ours, ending bool, err error) {
	ns, err := c.Kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, false, nil
	case err != nil:
		return false, false, fmt.Errorf("read namespace %s before it is removed: %w", namespace, err)
	}
	return ns.Labels[LabelRun] == run, ns.DeletionTimestamp != nil, nil
}

func (c *Client) awaitGone(ctx context.Context, namespace, run string, patience time.Duration) error {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := wait.PollUntilContextCancel(within, goneEvery, true, func(ctx context.Context) (bool, error) {
		ns, err := c.Kube.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return err == nil && ns.Labels[LabelRun] != run, nil
	})
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("namespace %s: %w, and nobody waits for it: %w", namespace, ErrTerminating, ctx.Err())
	case err != nil:
		return fmt.Errorf("namespace %s: %w after %s: kubectl get namespace %s -o yaml says what it waits for", namespace, ErrTerminating, patience, namespace)
	}
	return nil
}

func removed(namespace, what string, err error) error {
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("remove %s of %s: %w", what, namespace, err)
}

// The kinds are listed and their objects deleted one by one: to delete a whole
// collection is a right of its own, which few have.

func (c *Client) deleteDaemonSets(ctx context.Context, namespace string, only metav1.ListOptions, opts metav1.DeleteOptions) error {
	list, err := c.Kube.AppsV1().DaemonSets(namespace).List(ctx, only)
	if err != nil {
		return err
	}
	return forEach(list.Items, func(i int) error {
		return c.Kube.AppsV1().DaemonSets(namespace).Delete(ctx, list.Items[i].Name, opts)
	})
}

func (c *Client) deletePolicies(ctx context.Context, namespace string, only metav1.ListOptions, opts metav1.DeleteOptions) error {
	list, err := c.Kube.NetworkingV1().NetworkPolicies(namespace).List(ctx, only)
	if err != nil {
		return err
	}
	return forEach(list.Items, func(i int) error {
		return c.Kube.NetworkingV1().NetworkPolicies(namespace).Delete(ctx, list.Items[i].Name, opts)
	})
}

func (c *Client) deleteServices(ctx context.Context, namespace string, only metav1.ListOptions, opts metav1.DeleteOptions) error {
	list, err := c.Kube.CoreV1().Services(namespace).List(ctx, only)
	if err != nil {
		return err
	}
	return forEach(list.Items, func(i int) error {
		return c.Kube.CoreV1().Services(namespace).Delete(ctx, list.Items[i].Name, opts)
	})
}

// deleteMembers goes by the names, so that nobody needs the right to list ConfigMaps.
func (c *Client) deleteMembers(ctx context.Context, namespace string, opts metav1.DeleteOptions) error {
	return forEach(make([]struct{}, maxMembers), func(i int) error {
		return c.Kube.CoreV1().ConfigMaps(namespace).Delete(ctx, membersName(i), opts)
	})
}

func forEach[T any](items []T, do func(int) error) error {
	var errs []error
	for i := range items {
		if err := do(i); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Command is what a person types to remove a run's probes.
func Command(namespace string, host bool) string {
	names := namespace
	if host {
		names += " " + HostNamespace(namespace)
	}
	return "kubectl delete namespace " + names
}
