// Package storytest plays whole incidents against the controller's own process: the
// binary runs with the rights of config/default and nothing else, in a cluster of
// [github.com/remediate-dev/remediate/internal/testbed/story].
//
// It holds tests only. REMEDIATE_KILLS is how often they kill the controller; without
// it they do so three times. With REMEDIATE_SOAK the API server is away for minutes.
package storytest
