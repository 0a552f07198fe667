package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// serve starts the kubelets' server: one for all nodes, with a certificate of its
// own, which an API server without --kubelet-certificate-authority does not check.
func (k *Kubelet) serve(t testing.TB) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(k)
	server.EnableHTTP2 = true
	server.StartTLS()
	port, err := listenPort(server.Listener.Addr())
	if err != nil {
		t.Fatalf("kubelet: %v", err)
	}
	k.port = port
	return server
}

// ServeHTTP answers GET /containerLogs/NAMESPACE/POD/CONTAINER, and requests to
// forward a port, as the kubelet does.
func (k *Kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if namespace, pod, ok := forwarded(r); ok {
		k.forward(w, r, namespace, pod)
		return
	}
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.Method != http.MethodGet || len(part) != 4 || part[0] != "containerLogs" {
		http.NotFound(w, r)
		return
	}
	p := k.running(part[1], part[2])
	if p == nil || !k.isOn(p.node) {
		if k.onDeadNode(part[1], part[2]) {
			panic(http.ErrAbortHandler) // a machine that is off answers nobody
		}
		http.Error(w, fmt.Sprintf("pod %s/%s is not found", part[1], part[2]), http.StatusNotFound)
		return
	}
	o, err := parseOptions(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	log := p.current(o.previous)
	if log == nil {
		http.Error(w, fmt.Sprintf("previous terminated container %q in pod %q not found", part[3], part[2]), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	flush := func() error { return http.NewResponseController(w).Flush() }
	if err := flush(); err == nil {
		_ = o.copy(r.Context(), w, flush, log) // the reader has gone
	}
}

// onDeadNode says whether the pod's node is off, as the cache knows it.
func (k *Kubelet) onDeadNode(namespace, name string) bool {
	for _, s := range k.stores.pods {
		o, _, err := s.GetByKey(key(namespace, name))
		if p, ok := o.(*corev1.Pod); err == nil && ok {
			return !k.isOn(p.Spec.NodeName)
		}
	}
	return false
}

// logOptions are the query of a request for a log.
type logOptions struct {
	follow, timestamps, previous bool
	since                        time.Time
	tail, limit                  int64 // -1: none
}

func parseOptions(q url.Values) (logOptions, error) {
	o := logOptions{tail: -1, limit: -1}
	var errs []error
	flag := func(name string) bool {
		on, err := strconv.ParseBool(q.Get(name))
		if q.Get(name) != "" {
			errs = append(errs, err)
		}
		return on
	}
	number := func(name string) int64 {
		if q.Get(name) == "" {
			return -1
		}
		n, err := strconv.ParseInt(q.Get(name), 10, 64)
		errs = append(errs, err)
		return n
	}
	o.follow, o.timestamps, o.previous = flag("follow"), flag("timestamps"), flag("previous")
	o.tail, o.limit = number("tailLines"), number("limitBytes")
	if seconds := number("sinceSeconds"); seconds >= 0 {
		o.since = time.Now().Add(-time.Duration(seconds) * time.Second)
	}
	if text := q.Get("sinceTime"); text != "" {
		at, err := time.Parse(time.RFC3339, text)
		errs = append(errs, err)
		o.since = at
	}
	return o, errors.Join(errs...)
}

// errEnough: the limit of bytes is reached.
var errEnough = errors.New("limit of bytes")

// copy writes the present file of a log, and what is added to it when it is followed.
func (o logOptions) copy(ctx context.Context, w io.Writer, flush func() error, log *logFile) error {
	records, next, open, grown := log.read(log.start())
	if o.tail >= 0 && int64(len(records)) > o.tail {
		records = records[int64(len(records))-o.tail:]
	}
	out := &limited{w: w, left: o.limit}
	for {
		for _, r := range records {
			if err := o.write(out, r); err != nil {
				return err
			}
		}
		if err := flush(); err != nil || !o.follow || !open {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
		records, next, open, grown = log.read(next)
	}
}

func (o logOptions) write(w io.Writer, r record) error {
	if r.at.Before(o.since) {
		return nil
	}
	var b []byte
	if o.timestamps {
		b = append(r.at.AppendFormat(b, "2006-01-02T15:04:05.000000000Z07:00"), ' ')
	}
	b = append(b, r.text...)
	if !r.partial {
		b = append(b, '\n')
	}
	_, err := w.Write(b)
	return err
}

// limited writes no more than left bytes, if that is not negative.
type limited struct {
	w    io.Writer
	left int64
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left < 0 {
		return l.w.Write(p)
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.w.Write(p)
	l.left -= int64(n)
	if err == nil && l.left == 0 {
		err = errEnough
	}
	return n, err
}
