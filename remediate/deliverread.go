package remediate

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remediate-dev/remediate/remediate/delivery"
)

// FluxReach says whether Flux's controllers in the namespace reach the API
// server, by the age of their Leases. A Lease that is missing, or that may not
// be read, leaves its controller out: unknown.
func FluxReach(ctx context.Context, r client.Reader, namespace string, now time.Time) (map[string]delivery.Reach, error) {
	var leases []coordinationv1.Lease
	for _, name := range delivery.Leases() {
		var l coordinationv1.Lease
		err := r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &l)
		switch {
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		case err != nil:
			return nil, fmt.Errorf("read Lease %s/%s: %w", namespace, name, err)
		default:
			leases = append(leases, l)
		}
	}
	return delivery.Reached(leases, now), nil
}
