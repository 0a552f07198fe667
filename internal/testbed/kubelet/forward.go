package kubelet

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// forward answers POST /portForward/NAMESPACE/POD as the kubelet does: for each
// request two streams, the data and what went wrong
// (k8s.io/kubelet/pkg/cri/streaming/portforward).
func (k *Kubelet) forward(w http.ResponseWriter, r *http.Request, namespace, name string) {
	if k.opts.Forward == nil {
		http.Error(w, "port forwarding is off", http.StatusNotImplemented)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	arrived := make(chan httpstream.Stream)
	gone := make(chan struct{})
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		select {
		case arrived <- s:
			return nil
		case <-gone:
			return io.ErrClosedPipe
		}
	})
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	defer close(gone)
	var failures, data httpstream.Stream
	for failures == nil || data == nil {
		select {
		case s := <-arrived:
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				failures = s
			} else {
				data = s
			}
		case <-conn.CloseChan():
			return
		}
	}
	if err := k.copyTo(data, namespace, name, conn.CloseChan()); err != nil {
		fmt.Fprintf(failures, "error forwarding port %s to pod %s: %v", data.Headers().Get(corev1.PortHeader), name, err)
	}
	_ = failures.Close()
	_ = data.Close()
	<-conn.CloseChan()
}

// copyTo connects the stream with the pod's port until either ends.
func (k *Kubelet) copyTo(data httpstream.Stream, namespace, name string, closed <-chan bool) error {
	port, err := strconv.Atoi(data.Headers().Get(corev1.PortHeader))
	if err != nil {
		return err
	}
	to, err := k.opts.Forward(namespace, name, port)
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	done := make(chan struct{}, 2)
	wg.Go(func() { _, _ = io.Copy(to, data); done <- struct{}{} }) // an end is an end
	wg.Go(func() { _, _ = io.Copy(data, to); done <- struct{}{} })
	select {
	case <-done:
	case <-closed:
	}
	_ = to.Close()
	_ = data.Reset()
	wg.Wait()
	return nil
}

// Dialer reaches a port of a pod, as from inside.
type Dialer func(namespace, pod string, port int) (net.Conn, error)

// forwarded splits the path of a request to forward.
func forwarded(r *http.Request) (namespace, pod string, ok bool) {
	part := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.Method != http.MethodPost || len(part) < 3 || part[0] != "portForward" {
		return "", "", false
	}
	return part[1], part[2], true
}
