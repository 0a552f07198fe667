// Package storytest plays whole incidents against the controller's own process: the
// binary runs with the rights of config/default and nothing else, in a cluster of
// [github.com/remediate-dev/remediate/internal/testbed/story].
//
// It holds tests only. With REMEDIATE_SOAK the API server is away for minutes, and
// the controller is killed REMEDIATE_KILLS times, or three. Those whose names begin
// with TestAgents have real cilium-agents as the datapath; they need root and take
// the build tag e2e: make e2e.
package storytest
