"""Lines of [hardware] with one of everything that a machine can have, for what describes machines to VMware."""

FULL = """num_cpu = 4
ram = 1023
firmware = efi
hw_version = 20
[[hdds]]
[[[system]]]
controller = pvscsi
[[[data]]]
size = 2G
scsi_index = 1
pos = 1:3
[[[old]]]
type = ide
size = 3500K
[[[fast]]]
size = 1G
type = nvme
[[[plain]]]
size = 1G
type = sata
name = plain "disk" ü.vmdk
[[cds]]
[[[cd0]]]
image = images/tools.iso
[[[cd1]]]
[[eths]]
[[[eth0]]]
adapter = vmxnet3
hw_addr = 00:50:56:3f:00:01
[[[eth1]]]
type = bridged
adapter = e1000e
connected = no
hw_addr = 00:50:56:40:00:01
[[[eth2]]]
type = hostonly
[[[eth3]]]
type = veth
"""
