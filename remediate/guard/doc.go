// Package guard filters a plan: mode, scope, rate, freeze, blast radius, what a
// human already refused. It always says why.
//
// [Decide] asks every rule in a fixed order, from what humans decided to what the
// cluster does now, and names each one that objects. [ParseCommand] reads what
// people write below a pull request. Nothing here reads or writes anything: the
// caller gathers pull requests, comments and the cluster's state, and passes the
// time.
package guard
