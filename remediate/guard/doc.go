// Package guard filters a plan: mode, scope, rate, freeze, blast radius, what a
// human already refused. It always says why.
package guard
