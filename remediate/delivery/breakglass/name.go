package breakglass

import (
	"crypto/sha256"
	"encoding/hex"

	helmv2 "github.com/fluxcd/helm-controller/api/v2"
)

// releaseName is the name that helm-controller gives a release: one that is
// longer than Helm takes is cut and ends in a hash of the whole (1.6.1,
// internal/release/name.go).
func releaseName(hr *helmv2.HelmRelease) string {
	const most, hash = 53, 12
	name := hr.GetReleaseName()
	if len(name) <= most {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:most-hash-1] + "-" + hex.EncodeToString(sum[:])[:hash]
}
