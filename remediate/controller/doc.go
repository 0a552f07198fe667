// Package controller runs the loop in a cluster. A PolicyReconciler keeps
// listening to the probes that a RemediationPolicy names and makes one Remediation
// for each cause that they confirm; a RemediationReconciler takes that through the
// steps from the plan to the verdict.
//
// Every step reads from Git, the forge and the cluster what is so, and does what is
// due. What stands in a status is for people: a controller that was killed, or whose
// Remediations were deleted, goes on where the last one was.
//
// It writes its own kinds, events, and the members of the probes. Everything else is
// read.
package controller
