package controller

import (
	"context"
	"fmt"

	"github.com/fluxcd/pkg/runtime/events"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	kuberecorder "k8s.io/client-go/tools/record"
	ctrl "sigs.k8s.io/controller-runtime"
)

// mostEvents wait at most; more are left out, as the conditions say the same.
const mostEvents = 256

// recorder makes events without keeping a step waiting. notification-controller may
// be among what the failure cuts off: the Kubernetes event is made at once, and what
// is posted waits in a queue of its own.
type recorder struct {
	kubernetes kuberecorder.EventRecorder
	// posts are made by Start; nil: nobody is told besides.
	posts *events.Recorder
	queue chan func()
	log   logr.Logger
}

func newRecorder(mgr ctrl.Manager, address string) (*recorder, error) {
	log := mgr.GetLogger().WithName("events")
	posts, err := events.NewRecorder(mgr, log, address, Name)
	if err != nil {
		return nil, fmt.Errorf("--events-addr: %w", err)
	}
	out := &recorder{kubernetes: posts.EventRecorder, queue: make(chan func(), mostEvents), log: log}
	if address != "" {
		posts.Client.RetryMax = 2
		posts.EventRecorder = silent{}
		out.posts = posts
	}
	return out, nil
}

// silent makes no Kubernetes events: they are made already.
type silent struct{ kuberecorder.EventRecorder }

// AnnotatedEventf does nothing.
func (silent) AnnotatedEventf(runtime.Object, map[string]string, string, string, string, ...any) {}

// Start posts until ctx ends. A post under way then, which may hang for a while, is
// not waited for.
func (r *recorder) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case post := <-r.queue:
			posted := make(chan struct{})
			go func() { defer close(posted); post() }()
			select {
			case <-ctx.Done():
				return nil
			case <-posted:
			}
		}
	}
}

// Event makes an event.
func (r *recorder) Event(o runtime.Object, kind, reason, message string) {
	r.AnnotatedEventf(o, nil, kind, reason, "%s", message)
}

// Eventf makes an event.
func (r *recorder) Eventf(o runtime.Object, kind, reason, format string, args ...any) {
	r.AnnotatedEventf(o, nil, kind, reason, format, args...)
}

// AnnotatedEventf makes the Kubernetes event, and queues what is posted.
func (r *recorder) AnnotatedEventf(o runtime.Object, annotations map[string]string, kind, reason, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	r.kubernetes.AnnotatedEventf(o, annotations, kind, reason, "%s", message)
	if r.posts == nil {
		return
	}
	object := o.DeepCopyObject()
	select {
	case r.queue <- func() { r.posts.AnnotatedEventf(object, annotations, kind, reason, "%s", message) }:
	default:
		r.log.Info("too many events wait for notification-controller: one is left out", "reason", reason)
	}
}
