package passive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// Forward connects to a port of a pod by way of the API server and the pod's
// kubelet, as kubectl port-forward does. The pod network takes no part: the kubelet
// enters the pod.
func Forward(ctx context.Context, cfg *rest.Config, namespace, pod string, port int) (net.Conn, error) {
	client, err := rest.UnversionedRESTClientFor(unversioned(cfg))
	if err != nil {
		return nil, fmt.Errorf("forward to %s/%s: %w", namespace, pod, err)
	}
	target := client.Post().AbsPath("api", "v1", "namespaces", namespace, "pods", pod, "portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("forward to %s/%s: %w", namespace, pod, err)
	}
	type dialed struct {
		conn httpstream.Connection
		err  error
	}
	done := make(chan dialed, 1)
	go func() {
		conn, _, err := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target).
			Dial(portforward.PortForwardProtocolV1Name)
		done <- dialed{conn, err}
	}()
	var d dialed
	select {
	case d = <-done:
	case <-ctx.Done():
		go func() { // the dialer takes no context
			if late := <-done; late.conn != nil {
				_ = late.conn.Close()
			}
		}()
		return nil, fmt.Errorf("forward to %s/%s: %w", namespace, pod, ctx.Err())
	}
	if d.err != nil {
		return nil, fmt.Errorf("forward to %s/%s: %w", namespace, pod, d.err)
	}
	conn, err := streams(d.conn, port)
	if err != nil {
		_ = d.conn.Close()
		return nil, fmt.Errorf("forward to %s/%s: %w", namespace, pod, err)
	}
	return conn, nil
}

func unversioned(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	if cfg.GroupVersion == nil {
		cfg.GroupVersion = &corev1.SchemeGroupVersion
	}
	if cfg.NegotiatedSerializer == nil {
		cfg.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	}
	return cfg
}

// streams opens the two streams of a forwarded connection: the data, and what the
// kubelet says when it fails.
func streams(conn httpstream.Connection, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	failures, err := conn.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = failures.Close() // only read
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	f := &forwarded{conn: conn, data: data, said: make(chan error, 1)}
	go func() {
		text, err := io.ReadAll(io.LimitReader(failures, 1<<10))
		if err == nil && len(text) > 0 {
			err = errors.New(clean(string(text)))
		}
		f.said <- err
	}()
	return f, nil
}

// forwarded is a connection through the API server. It has no deadlines: closing it
// ends what waits.
type forwarded struct {
	conn httpstream.Connection
	data httpstream.Stream
	said chan error
	once sync.Once
}

func (f *forwarded) Read(p []byte) (int, error) {
	n, err := f.data.Read(p)
	if n == 0 && errors.Is(err, io.EOF) {
		select {
		case said := <-f.said:
			if said != nil {
				err = said
			}
		case <-time.After(time.Second):
		}
	}
	return n, err
}

func (f *forwarded) Write(p []byte) (int, error) { return f.data.Write(p) }

func (f *forwarded) Close() error {
	var err error
	f.once.Do(func() { err = f.conn.Close() })
	return err
}

func (f *forwarded) LocalAddr() net.Addr              { return forwardedAddr{} }
func (f *forwarded) RemoteAddr() net.Addr             { return forwardedAddr{} }
func (f *forwarded) SetDeadline(time.Time) error      { return nil }
func (f *forwarded) SetReadDeadline(time.Time) error  { return nil }
func (f *forwarded) SetWriteDeadline(time.Time) error { return nil }

type forwardedAddr struct{}

func (forwardedAddr) Network() string { return "tcp" }
func (forwardedAddr) String() string  { return "through the API server" }
