// Package breakglass brings a merged commit into the cluster when Flux, cut off
// by the fault that the commit repairs, cannot: it does the Helm upgrade that
// helm-controller would do, with Helm's own code, and nothing else.
//
//	approve ─► suspend the HelmRelease ─► helm upgrade ─► Git arrives ─► agree? ─► resume
//
// The HelmRelease is suspended first, because the upgrade heals the very path
// over which helm-controller then fetches the old chart and the old values: it
// would take a release that it does not know for a foreign one and put the old
// values back (helm-controller 1.6.1, internal/reconcile/state.go: a release in
// storage that is not the one in status.history is Unmanaged, and is upgraded).
// It is resumed when the HelmRelease in the cluster says what Git says.
//
// All of this runs under a ServiceAccount of its own whose rights are not in the
// default install; see config/break-glass.
package breakglass
