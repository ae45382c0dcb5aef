package standin

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// Shape makes the file of a library that defines functions and imports one function of
// a version of glibc, and that holds no code. It needs no compiler, and serves where a
// library is read and not loaded.
func Shape(machine elf.Machine, glibc string, functions ...string) []byte {
	var names bytes.Buffer // .dynstr
	names.WriteByte(0)
	name := func(s string) uint32 {
		at := names.Len()
		names.WriteString(s + "\x00")
		return uint32(at)
	}
	var symbols, versions, needs, dynamic bytes.Buffer
	put := func(b *bytes.Buffer, v any) { _ = binary.Write(b, binary.LittleEndian, v) } // a buffer does not fail
	function := elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC)
	put(&symbols, elf.Sym64{})
	put(&symbols, elf.Sym64{Name: name("memcpy"), Info: function})
	put(&versions, []uint16{0, 2})
	for _, f := range functions {
		put(&symbols, elf.Sym64{Name: name(f), Info: function, Shndx: 1, Value: 1})
		put(&versions, uint16(1))
	}
	libc := name("libc.so.6")
	put(&needs, []uint16{1, 1}) // version of the form, one entry
	put(&needs, []uint32{libc, 16, 0})
	put(&needs, uint32(0)) // hash
	put(&needs, []uint16{0, 2})
	put(&needs, []uint32{name("GLIBC_" + glibc), 0})
	put(&dynamic, []elf.Dyn64{{Tag: int64(elf.DT_NEEDED), Val: uint64(libc)}, {}})

	sections := []struct {
		name   string
		kind   elf.SectionType
		link   uint32
		entry  uint64
		detail uint32
		data   []byte
	}{
		{".dynsym", elf.SHT_DYNSYM, 2, elf.Sym64Size, 1, symbols.Bytes()},
		{".dynstr", elf.SHT_STRTAB, 0, 0, 0, names.Bytes()},
		{".dynamic", elf.SHT_DYNAMIC, 2, 16, 0, dynamic.Bytes()},
		{".gnu.version", elf.SHT_GNU_VERSYM, 1, 2, 0, versions.Bytes()},
		{".gnu.version_r", elf.SHT_GNU_VERNEED, 2, 0, 1, needs.Bytes()},
		{".shstrtab", elf.SHT_STRTAB, 0, 0, 0, nil},
	}
	const head, headers = 64, 64
	texts := []byte{0}
	var out, table bytes.Buffer
	put(&table, elf.Section64{})
	for i, s := range sections {
		at := len(texts)
		texts = append(texts, s.name+"\x00"...)
		if i == len(sections)-1 {
			s.data = texts
		}
		put(&table, elf.Section64{
			Name: uint32(at), Type: uint32(s.kind), Off: uint64(head + out.Len()), Size: uint64(len(s.data)), Link: s.link, Info: s.detail, Addralign: 1, Entsize: s.entry,
		})
		out.Write(s.data)
	}
	var file bytes.Buffer
	put(&file, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_DYN), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Shoff: uint64(head + out.Len()),
		Ehsize: head, Shentsize: headers, Shnum: uint16(len(sections) + 1), Shstrndx: uint16(len(sections)),
	})
	file.Write(out.Bytes())
	file.Write(table.Bytes())
	return file.Bytes()
}
