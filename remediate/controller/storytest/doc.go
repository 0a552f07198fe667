// Package storytest plays whole incidents against the controller's own process: the
// binary runs with the rights of config/default and nothing else, in a cluster of
// [github.com/remediate-dev/remediate/internal/testbed/story].
//
// It holds tests only. With REMEDIATE_SOAK the API server is away for minutes, and
// the controller is killed REMEDIATE_KILLS times, or three.
package storytest
