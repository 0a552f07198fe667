package deploy

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mostEvents bounds what is asked of the API server.
const mostEvents = 200

// Warnings are the latest warning of each object of a namespace, in short: pods
// that admission refuses, volumes that cannot be mounted. Who may not list events
// learns nothing.
func (c *Client) Warnings(ctx context.Context, namespace string) []string {
	list, err := c.Kube.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning, Limit: mostEvents})
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range list.Items {
		out = append(out, e.InvolvedObject.Kind+" "+e.InvolvedObject.Name+": "+e.Reason+": "+e.Message)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
