# Machine configuration of the Talos nodes.
# Cilium is installed at bootstrap from an inline manifest that was rendered
# with the values as they were then; Flux adopts the release afterwards.

variable "pod_subnets" {
  description = "Pod ranges, IPv6 first."
  type        = list(string)
}

variable "service_subnets" {
  description = "Service ranges, IPv6 first."
  type        = list(string)
}

variable "node_subnets" {
  description = "Ranges that node addresses are taken from."
  type        = list(string)
}

variable "cilium_manifest" {
  description = "Cilium as rendered for the bootstrap."
  type        = string
}

locals {
  cluster_patch = yamlencode({
    machine = {
      kubelet  = { nodeIP = { validSubnets = var.node_subnets } }
      features = { hostDNS = { enabled = true, forwardKubeDNSToHost = true } }
    }
    cluster = {
      network = {
        cni            = { name = "none" }
        podSubnets     = var.pod_subnets
        serviceSubnets = var.service_subnets
      }
      proxy           = { disabled = true }
      inlineManifests = [{ name = "cilium", contents = var.cilium_manifest }]
      controllerManager = {
        extraArgs = {
          "node-cidr-mask-size-ipv4" = "27"
          "node-cidr-mask-size-ipv6" = "64"
        }
      }
    }
  })
}

output "cluster_patch" {
  value = local.cluster_patch
}
