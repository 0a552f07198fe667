package report

import "github.com/remediate-dev/remediate/api/v1alpha1"

// SARIFOptions are what a result does not hold.
type SARIFOptions struct {
	// Version of this program.
	Version string
	// Rules of the catalogue; those that the result does not name are left out,
	// and a signature without a rule gets one of its name alone.
	Rules []Rule
}

// Rule describes a signature.
type Rule struct {
	ID, Title, Explanation string
	Severity               v1alpha1.Severity
}
