package main

import (
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// described is an OVF 1.1 descriptor (DMTF DSP0243) of the machine's disks, processors and memory.
func described(req *types.CreateDescriptor) (interface{}, fault) {
	vm := machine(req.Obj)
	if vm == nil {
		return nil, &types.ManagedObjectNotFound{Obj: req.Obj}
	}
	var files, disks, items strings.Builder
	for number, file := range req.Cdp.OvfFiles {
		fmt.Fprintf(&files, `<File ovf:href=%s ovf:id="file%d" ovf:size="%d"/>`, quoted(file.Path), number, file.Size)
		fmt.Fprintf(&disks, `<Disk ovf:capacity="%d" ovf:diskId="vmdisk%d" ovf:fileRef="file%d"/>`,
			file.Capacity, number, number)
	}
	for kind, amount := range map[int]int32{3: vm.Config.Hardware.NumCPU, 4: vm.Config.Hardware.MemoryMB} {
		fmt.Fprintf(&items, `<Item><rasd:InstanceID>%d</rasd:InstanceID><rasd:ResourceType>%d</rasd:ResourceType>`+
			`<rasd:VirtualQuantity>%d</rasd:VirtualQuantity></Item>`, kind, kind, amount)
	}
	text := `<?xml version="1.0" encoding="UTF-8"?><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"` +
		` xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"` +
		` xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">` +
		`<References>` + files.String() + `</References><DiskSection><Info/>` + disks.String() + `</DiskSection>` +
		`<VirtualSystem ovf:id=` + quoted(vm.Name) + `><Info/><VirtualHardwareSection><Info/>` + items.String() +
		`</VirtualHardwareSection></VirtualSystem></Envelope>`
	made := types.OvfCreateDescriptorResult{OvfDescriptor: text}
	return &types.CreateDescriptorResponse{Returnval: made}, nil
}

func quoted(text string) string {
	var made strings.Builder
	_ = xml.EscapeText(&made, []byte(text))
	return `"` + made.String() + `"`
}
