// Package v1alpha1 holds the types of the documents that other tools build on:
// Plan, CheckResult, DetectResult and ProbeReport, and nothing but defaults and
// getters beside them.
//
// Fields are added freely; none is changed or removed without a new apiVersion.
package v1alpha1

// APIVersion is the apiVersion of every document in this package.
const APIVersion = "remediate.dev/v1alpha1"
