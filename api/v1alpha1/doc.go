// Package v1alpha1 holds the custom resources RemediationPolicy and Remediation,
// and the types of the documents that other tools build on: Plan, CheckResult,
// DetectResult and ProbeReport. There is nothing but defaults, getters and
// bounds beside them.
//
// Fields are added freely; none is changed or removed without a new apiVersion.
//
// +groupName=remediate.dev
package v1alpha1

// APIVersion is the apiVersion of every document in this package.
const APIVersion = "remediate.dev/v1alpha1"
