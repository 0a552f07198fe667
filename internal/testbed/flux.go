package testbed

import "strings"

// FluxVersion is the release of one of Flux's controllers, "v1.9.6", that [Tool]
// builds and [CRDs] belong to; empty when there is none of that name.
func FluxVersion(controller string) string {
	for _, m := range fluxModules() {
		if path, version, _ := strings.Cut(m, "@"); path == "github.com/fluxcd/"+controller {
			return version
		}
	}
	return ""
}
