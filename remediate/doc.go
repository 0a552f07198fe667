// Package remediate joins the parts: the list of steps from observing a cluster
// to a proven plan, one list for the command line and the controller.
//
//	repository ─► release ─► observe ─► facts ─► render ─► detect ─► history ─► plan
//
// Every step reads the [Run] that the earlier ones filled and adds to it; none
// writes anywhere. [Result.Write] is the one function that changes a file.
package remediate
