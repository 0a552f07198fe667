package deploy

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// Installation is a set of probes that a cluster has.
type Installation struct {
	Namespace string
	// Run made them and was to remove them; empty for probes that are to stay.
	Run string
	// Started and By are what the run left about itself.
	Started time.Time
	By      string
	// Kept: that run was to leave them.
	Kept bool
	// Host: there are twins in the nodes' own network.
	Host bool
	// Image that the probes run.
	Image string
}

// Stays says whether the probes are there to be used: installed, or kept by a run.
func (i Installation) Stays() bool { return i.Run == "" || i.Kept }

// Find lists the probes of a cluster: installed ones first, then those that a run
// kept, each by namespace. With a namespace it looks there alone. A run that was killed between
// making its namespace and its DaemonSet is found too.
func (c *Client) Find(ctx context.Context, namespace string) ([]Installation, error) {
	daemons, err := c.Kube.AppsV1().DaemonSets(namespace).List(ctx, metav1.ListOptions{LabelSelector: LabelName + "=" + Name})
	if err != nil {
		return nil, fmt.Errorf("list DaemonSets to see where probes are installed%s: %w", hintNamespace(namespace, err), err)
	}
	found := map[string]*Installation{}
	for _, d := range daemons.Items {
		if d.Labels[LabelTarget] == v1alpha1.TargetOpen {
			found[d.Namespace] = installation(d)
		}
	}
	for _, d := range daemons.Items {
		if i := found[strings.TrimSuffix(d.Namespace, hostSuffix)]; i != nil && d.Labels[LabelTarget] == TargetHost {
			i.Host = true
		}
	}
	if namespace == "" {
		if err := c.addEmpty(ctx, found); err != nil {
			return nil, err
		}
	}
	return sorted(found), nil
}

func hintNamespace(namespace string, err error) string {
	if namespace == "" && apierrors.IsForbidden(err) {
		return " (with --probe-namespace one namespace is enough)"
	}
	return ""
}

// addEmpty adds the namespaces of runs that have no DaemonSet (any more). Who may
// not list namespaces does not learn of them.
func (c *Client) addEmpty(ctx context.Context, found map[string]*Installation) error {
	list, err := c.Kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{LabelSelector: LabelName + "=" + Name + "," + LabelRun})
	if apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list namespaces to see what earlier runs left: %w", err)
	}
	for _, n := range list.Items {
		base := strings.TrimSuffix(n.Name, hostSuffix)
		if n.Status.Phase == corev1.NamespaceTerminating || found[base] != nil {
			continue
		}
		found[base] = &Installation{Namespace: base, Run: n.Labels[LabelRun], Started: startedAt(n.Annotations), By: n.Annotations[AnnotationBy]}
	}
	return nil
}

func installation(d appsv1.DaemonSet) *Installation {
	i := &Installation{Namespace: d.Namespace, Run: d.Labels[LabelRun], Started: startedAt(d.Annotations), By: d.Annotations[AnnotationBy],
		Kept: d.Annotations[AnnotationKept] != ""}
	if cs := d.Spec.Template.Spec.Containers; len(cs) > 0 {
		i.Image = cs[0].Image
	}
	return i
}

func startedAt(annotations map[string]string) time.Time {
	t, err := time.Parse(time.RFC3339, annotations[AnnotationStarted])
	if err != nil {
		return time.Time{}
	}
	return t
}

func sorted(found map[string]*Installation) []Installation {
	var out []Installation
	for _, i := range found {
		out = append(out, *i)
	}
	sort.Slice(out, func(i, j int) bool {
		if a, b := out[i].rank(), out[j].rank(); a != b {
			return a < b
		}
		return out[i].Namespace < out[j].Namespace
	})
	return out
}

func (i Installation) rank() int {
	switch {
	case i.Run == "":
		return 0
	case i.Kept:
		return 1
	}
	return 2
}
