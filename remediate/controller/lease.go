package controller

import (
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// podEnv are the variables by which a pod knows itself (config/manager/deployment.yaml).
const (
	podNameEnv = "POD_NAME"
	podUIDEnv  = "POD_UID"
)

// holder is who holds the Lease: the pod, so that a container which the kubelet
// starts again in it goes on at once, and need not wait until the Lease of its
// predecessor is over, which is dead for certain. Empty outside a pod.
func holder() string {
	name, uid := os.Getenv(podNameEnv), os.Getenv(podUIDEnv)
	if name == "" || uid == "" {
		return ""
	}
	return name + "_" + uid
}

// lease is the lock of the pod; nil leaves it to the manager, whose holder is another
// one in each process.
func (o *Options) lease(cfg *rest.Config) (resourcelock.Interface, error) {
	pod := holder()
	if !o.LeaderElection.Enable || pod == "" {
		return nil, nil
	}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, o.Namespace, LeaseName,
		resourcelock.ResourceLockConfig{Identity: pod}, rest.AddUserAgent(rest.CopyConfig(cfg), "leader-election"), o.LeaderElection.RenewDeadline)
	if err != nil {
		return nil, fmt.Errorf("make the Lease: %w", err)
	}
	return lock, nil
}
