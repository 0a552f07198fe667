package collect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/probe"
)

// directBytes is the most of a probe's answer; it keeps less.
const directBytes = 256 << 10

// Direct asks probes themselves, GET /report on their HTTP port, for
// [Options.Direct]. What does not bear the mark of the shared key is an error. The
// client's dialer decides over which network; nil is [http.DefaultClient].
func Direct(client *http.Client, keys *probe.Keyring) func(context.Context, Target) ([]byte, error) {
	return func(ctx context.Context, t Target) ([]byte, error) {
		var errs []error
		for i, ip := range t.IPs {
			body, err := fetch(ctx, client, keys, ip, len(t.IPs)-i)
			if err == nil {
				return body, nil
			}
			errs = append(errs, err)
		}
		if len(errs) == 0 {
			return nil, fmt.Errorf("pod %s/%s has no address", t.Namespace, t.Pod)
		}
		return nil, errors.Join(errs...)
	}
}

// fetch takes its share of the time that is left for n addresses.
func fetch(ctx context.Context, client *http.Client, keys *probe.Keyring, ip netip.Addr, n int) ([]byte, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(n))
		defer cancel()
	}
	return probe.FetchReport(ctx, client, netip.AddrPortFrom(ip, mesh.HTTPPort), keys, directBytes)
}
