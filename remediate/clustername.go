package remediate

import (
	"regexp"
	"strings"
)

// generic are parts of paths that tell no cluster from another.
var generic = map[string]bool{
	"": true, ".": true, "cluster": true, "clusters": true, "flux": true, "flux-system": true, "fluxcd": true, "gitops": true,
	"kubernetes": true, "k8s": true, "apps": true, "infrastructure": true, "infra": true, "base": true, "bases": true,
	"overlay": true, "overlays": true, "config": true, "deploy": true, "bootstrap": true, "manifests": true,
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// ClusterName names a cluster by the parts of its path that tell it from others:
// home for clusters/home/flux, eu-prod for eu/prod. Without any it is the
// repository's name.
func ClusterName(clusterPath, repository string) string {
	var parts []string
	for _, p := range append(strings.Split(clusterPath, "/"), "") {
		if !generic[strings.ToLower(p)] {
			parts = append(parts, p)
		}
	}
	name := plainName(strings.Join(parts, "-"))
	if name == "" {
		name = plainName(repository)
	}
	if name == "" {
		name = "cluster"
	}
	return name
}

func plainName(s string) string {
	s = strings.Trim(notInName.ReplaceAllString(strings.ToLower(s), "-"), "-")
	if len(s) > 50 {
		s = strings.Trim(s[:50], "-")
	}
	return s
}
