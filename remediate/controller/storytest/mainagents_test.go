//go:build linux && e2e

package storytest

import (
	"testing"

	"k8s.io/klog/v2"

	"github.com/go-logr/logr"

	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard())
	cilium.Main(m)
}
