package kubelet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// volumes are the files of a pod. Below each mount's path they lie as the kubelet
// lays them (its AtomicWriter): NAME is a link to ..data/NAME, and ..data one to a
// folder that is replaced as a whole.
type volumes struct {
	root string
	have map[string]string // mount path → hash of the content
}

func newVolumes(root string) *volumes { return &volumes{root: root, have: map[string]string{}} }

// refresh writes what changed. missing names an object that is not there yet.
func (v *volumes) refresh(k *Kubelet, o *corev1.Pod) (missing string, err error) {
	if err := os.MkdirAll(v.root, 0o700); err != nil {
		return "", err
	}
	for _, m := range o.Spec.Containers[0].VolumeMounts {
		i := slices.IndexFunc(o.Spec.Volumes, func(x corev1.Volume) bool { return x.Name == m.Name })
		if i < 0 || m.SubPath != "" {
			return "", fmt.Errorf("mount %s: no such volume, or a sub-path, which is not supported", m.MountPath)
		}
		files, missing, err := k.content(o, o.Spec.Volumes[i].VolumeSource)
		if err != nil || missing != "" {
			return missing, err
		}
		if err := v.write(m.MountPath, files); err != nil {
			return "", fmt.Errorf("mount %s: %w", m.MountPath, err)
		}
	}
	return "", nil
}

// write replaces the files of a mount where they differ.
func (v *volumes) write(mount string, files map[string][]byte) error {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %d\n", name, len(files[name]))
		h.Write(files[name])
	}
	hash := hex.EncodeToString(h.Sum(nil)[:8])
	if v.have[mount] == hash {
		return nil
	}
	// A root keeps names with .. from leading out of the pod's folder.
	root, err := os.OpenRoot(v.root)
	if err != nil {
		return err
	}
	defer root.Close()
	dir := strings.TrimPrefix(filepath.Clean(mount), "/")
	if err := swap(root, dir, "..v"+hash, files); err != nil {
		return err
	}
	v.have[mount] = hash
	return nil
}

func swap(root *os.Root, dir, version string, files map[string][]byte) error {
	if err := root.MkdirAll(filepath.Join(dir, version), 0o700); err != nil {
		return err
	}
	before, err := root.Readlink(filepath.Join(dir, "..data"))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for name, content := range files {
		if err := root.WriteFile(filepath.Join(dir, version, name), content, 0o600); err != nil {
			return err
		}
	}
	next, data := filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")
	if err := root.Symlink(version, next); err != nil {
		return err
	}
	if err := root.Rename(next, data); err != nil {
		return err
	}
	return links(root, dir, before, version, files)
}

// links makes the visible names, and takes away those of files that are no more.
func links(root *os.Root, dir, before, version string, files map[string][]byte) error {
	for name := range files {
		err := root.Symlink(filepath.Join("..data", name), filepath.Join(dir, name))
		if err != nil && !os.IsExist(err) {
			return err
		}
	}
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, wanted := files[name]; !wanted && !strings.HasPrefix(name, "..") {
			if err := root.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	if before == "" || before == version {
		return nil
	}
	return root.RemoveAll(filepath.Join(dir, before))
}

// content is what a volume holds.
func (k *Kubelet) content(o *corev1.Pod, v corev1.VolumeSource) (files map[string][]byte, missing string, err error) {
	switch {
	case v.EmptyDir != nil:
		return map[string][]byte{}, "", nil
	case v.ConfigMap != nil:
		return k.configMap(o.Namespace, v.ConfigMap.Name, v.ConfigMap.Items, v.ConfigMap.Optional)
	case v.Secret != nil:
		return k.secret(o.Namespace, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional)
	case v.DownwardAPI != nil:
		files, err := downward(o, v.DownwardAPI.Items)
		return files, "", err
	case v.Projected != nil:
		return k.projected(o, v.Projected.Sources)
	}
	return nil, "", fmt.Errorf("a volume of this kind is not supported")
}

func (k *Kubelet) projected(o *corev1.Pod, sources []corev1.VolumeProjection) (map[string][]byte, string, error) {
	out := map[string][]byte{}
	for _, s := range sources {
		var v corev1.VolumeSource
		switch {
		case s.ConfigMap != nil:
			v.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: s.ConfigMap.LocalObjectReference, Items: s.ConfigMap.Items, Optional: s.ConfigMap.Optional}
		case s.Secret != nil:
			v.Secret = &corev1.SecretVolumeSource{SecretName: s.Secret.Name, Items: s.Secret.Items, Optional: s.Secret.Optional}
		case s.DownwardAPI != nil:
			v.DownwardAPI = &corev1.DownwardAPIVolumeSource{Items: s.DownwardAPI.Items}
		}
		files, missing, err := k.content(o, v)
		if err != nil || missing != "" {
			return nil, missing, err
		}
		maps.Copy(out, files)
	}
	return out, "", nil
}

func find[T any](stores []cache.Store, namespace, name string) (T, bool) {
	var none T
	for _, s := range stores {
		o, _, err := s.GetByKey(key(namespace, name))
		if v, ok := o.(T); err == nil && ok {
			return v, true
		}
	}
	return none, false
}

func (k *Kubelet) configMap(ns, name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, string, error) {
	c, ok := find[*corev1.ConfigMap](k.stores.configs, ns, name)
	if !ok {
		return absent("ConfigMap "+key(ns, name), optional)
	}
	all := maps.Clone(c.BinaryData)
	if all == nil {
		all = map[string][]byte{}
	}
	for name, text := range c.Data {
		all[name] = []byte(text)
	}
	return pick(all, items), "", nil
}

func (k *Kubelet) secret(ns, name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, string, error) {
	s, ok := find[*corev1.Secret](k.stores.secrets, ns, name)
	if !ok {
		return absent("Secret "+key(ns, name), optional)
	}
	return pick(s.Data, items), "", nil
}

func absent(what string, optional *bool) (map[string][]byte, string, error) {
	if optional != nil && *optional {
		return map[string][]byte{}, "", nil
	}
	return nil, what + " is not there", nil
}

// pick gives the files of a volume: all keys, or those that are named.
func pick(all map[string][]byte, items []corev1.KeyToPath) map[string][]byte {
	if len(items) == 0 {
		return all
	}
	out := map[string][]byte{}
	for _, i := range items {
		if content, ok := all[i.Key]; ok {
			out[i.Path] = content
		}
	}
	return out
}

func downward(o *corev1.Pod, items []corev1.DownwardAPIVolumeFile) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, i := range items {
		if i.FieldRef == nil {
			return nil, fmt.Errorf("file %s: only fields of the pod are supported", i.Path)
		}
		text, err := field(o, nil, i.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		out[i.Path] = []byte(text)
	}
	return out, nil
}
