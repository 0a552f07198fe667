// Package observe fills a [snapshot.Snapshot] from an API server, from a folder
// of Kubernetes YAML or JSON, or from a cilium sysdump archive, and writes such
// a folder.
//
// All ways share one pipeline: an object is decoded into the few fields that a
// snapshot is made of, reduced to what is used of those, and handed to a builder.
// What is written is the reduced object, so nothing that is not needed, a
// Secret least of all, reaches the disk, and a written folder reads back as the
// same snapshot.
//
// Files, archives and objects are untrusted. Reading is streamed and bounded,
// never leaves the folder, and executes nothing.
package observe
