package main

import (
	"github.com/spf13/pflag"

	"github.com/remediate-dev/remediate/remediate"
)

// sourceFlags are the flags that say where repository, chart and facts come
// from, the same for every command that reads a repository.
func sourceFlags(fl *pflag.FlagSet, o *remediate.Options) {
	fl.StringVar(&o.Repo, "repo", "", "directory in a Git checkout, or a URL to clone (default: the checkout one stands in)")
	fl.StringVar(&o.Snapshot, "snapshot", "", "folder or archive with the cluster's facts; a cilium sysdump will do")
	fl.StringVar(&o.Chart, "chart", "", "folder or archive of the chart (default: the one that the HelmRelease names, from the cache, else pulled)")
	fl.BoolVar(&o.Offline, "offline", false, "pull nothing: no chart is fetched that is not in the cache")
	fl.BoolVar(&o.AllowRemoteBases, "allow-remote-bases", false, "fetch kustomize bases that the repository names by URL")
	fl.StringArrayVar(&o.PodCIDRs, "pod-cidr", nil, "a range that pods live in (repeatable)")
	fl.StringArrayVar(&o.ServiceCIDRs, "service-cidr", nil, "a range of ClusterIPs (repeatable)")
	fl.StringArrayVar(&o.NodeCIDRs, "node-cidr", nil, "a network that nodes are directly connected to (repeatable)")
	fl.StringVar(&o.CiliumVersion, "cilium-version", "", "Cilium version, where it is not the chart's")
}
