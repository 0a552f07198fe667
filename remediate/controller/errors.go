package controller

import (
	"errors"
	"fmt"
	"time"

	"github.com/fluxcd/pkg/apis/meta"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
)

// fault is a failure with the reason that conditions show.
type fault struct {
	reason string
	err    error
	// stalled: it stays until somebody changes something. again is when it is looked
	// at all the same.
	stalled bool
	again   time.Duration
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// stalled is a failure that somebody has to do something about.
func stalled(reason, format string, args ...any) error {
	return &fault{reason: reason, err: fmt.Errorf(format, args...), stalled: true}
}

// failing is a failure that may pass; nil is none.
func failing(reason string, err error) error {
	if err == nil {
		return nil
	}
	if f := (*fault)(nil); errors.As(err, &f) {
		return err
	}
	return &fault{reason: reason, err: err}
}

// asFault gives every error its reason. What a forge or a Git server will not do
// however often it is asked stalls.
func asFault(err error) *fault {
	if f := (*fault)(nil); errors.As(err, &f) {
		return f
	}
	out := &fault{reason: meta.FailedReason, err: err}
	var byForge *forge.Error
	var byGit *repo.PushError
	var later *forge.LaterError
	var hinted interface{ Hint() string }
	switch {
	case errors.As(err, &later):
		out.reason, out.again = v1alpha1.ForgeReason, time.Until(later.At)
	case errors.As(err, &byForge):
		out.reason, out.stalled, out.again = v1alpha1.ForgeReason, !byForge.Transient(), byForge.RetryAfter
		out.err = withHint(err, byForge.Hint)
	case errors.As(err, &byGit):
		out.reason, out.stalled, out.again = v1alpha1.GitReason, !byGit.Transient(), byGit.RetryAfter
	case apierrors.ReasonForError(err) != "":
		out.reason = v1alpha1.ClusterReason
	case errors.As(err, &hinted):
		out.err = withHint(err, hinted.Hint())
	}
	return out
}

// withHint puts what to do next behind an error that does not say it.
func withHint(err error, hint string) error {
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}
