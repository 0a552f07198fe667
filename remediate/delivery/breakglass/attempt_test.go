package breakglass

import (
	"errors"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"

	"github.com/remediate-dev/remediate/remediate/delivery"
)

func TestAttempted(t *testing.T) {
	tests := []struct {
		status common.Status
		want   string
	}{
		{common.StatusDeployed, ""},
		{common.StatusFailed, "revision 3 of Helm release cilium, made for this commit, is failed"},
		{common.StatusSuperseded, "is superseded"},
	}
	for _, tt := range tests {
		t.Run(string(tt.status), func(t *testing.T) {
			o, err := attempted(&release.Release{Name: "cilium", Version: 3, Info: &release.Info{Status: tt.status}}, "sha256:x")
			switch {
			case tt.want == "" && (err != nil || !o.Already || o.Revision != 3 || o.ConfigDigest != "sha256:x"):
				t.Errorf("%+v, %v", o, err)
			case tt.want != "" && (!errors.Is(err, delivery.ErrRefused) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v", err)
			}
		})
	}
}
