package remediate

import "github.com/remediate-dev/remediate/gitops/source"

// Origin is the GitRepository that the planned release comes from, as the
// repository states it.
func (res *Result) Origin() source.Origin { return res.origin }

// ClusterPath is the directory of the repository that the release's cluster is
// synchronised from.
func (res *Result) ClusterPath() string { return res.clusterPath }
