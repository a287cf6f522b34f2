// SPDX-License-Identifier: GPL-2.0
/*
 * A real device that raises several interrupts: QEMU's xHCI controller, of which
 * each interrupter has one; with MSI by one message, with MSI-X by one each. An interrupter that is
 * told of a place in its event ring where it has not been yet sends its MSI
 * (xHCI 4.17.2), so no USB is needed.
 */

#include <linux/dma-mapping.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/kernel.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "aia_test.h"

#ifdef CONFIG_PCI_MSI

/* QEMU's qemu-xhci */
#define AIA_XHCI_VENDOR		0x1b36
#define AIA_XHCI_DEVICE		0x000d

#define AIA_XHCI_CAPLENGTH	0x00
#define AIA_XHCI_RTSOFF		0x18
#define AIA_XHCI_USBCMD		0x00
#define AIA_XHCI_USBCMD_HCRST	BIT(1)
#define AIA_XHCI_USBCMD_INTE	BIT(2)
#define AIA_XHCI_IR(n)		(0x20 + 32 * (n))
#define AIA_XHCI_IMAN		0x00
#define AIA_XHCI_IMAN_IE	BIT(1)
#define AIA_XHCI_ERSTSZ		0x08
#define AIA_XHCI_ERSTBA		0x10
#define AIA_XHCI_ERDP		0x18
#define AIA_XHCI_ERDP_EHB	BIT(3)

/* Entries of 16 bytes in a ring */
#define AIA_XHCI_RING		16

struct aia_ring_entry {
	__le64			addr;
	__le32			size;
	__le32			reserved;
};

struct aia_pci {
	struct pci_dev		*pdev;
	void __iomem		*bar;
	void __iomem		*runtime;
	/* Per interrupter: a table of one ring, and that */
	struct aia_ring_entry	*rings;
	dma_addr_t		rings_pa;
	bool			irqs;
};

#define AIA_XHCI_STRIDE		((1 + AIA_XHCI_RING) * sizeof(struct aia_ring_entry))

static dma_addr_t aia_pci_table(struct aia_pci *pci, u32 n)
{
	/* Of 64 bytes */
	return pci->rings_pa + n * ALIGN(AIA_XHCI_STRIDE, 64);
}

static void aia_pci_write64(u64 value, void __iomem *reg)
{
	writel(lower_32_bits(value), reg);
	writel(upper_32_bits(value), reg + 4);
}

void aia_pci_fire(struct aia_pci *pci, u32 n)
{
	dma_addr_t ring = aia_pci_table(pci, n) + sizeof(struct aia_ring_entry);
	void __iomem *reg = pci->runtime + AIA_XHCI_IR(n) + AIA_XHCI_ERDP;
	u64 place = ring + sizeof(struct aia_ring_entry);

	writel(upper_32_bits(place), reg + 4);
	writel(lower_32_bits(place) | AIA_XHCI_ERDP_EHB, reg);
}

static void aia_pci_start(struct aia_pci *pci, u32 nr)
{
	void __iomem *op = pci->bar + readb(pci->bar + AIA_XHCI_CAPLENGTH);
	struct aia_ring_entry *table;
	void __iomem *ir;
	u32 n;

	pci->runtime = pci->bar + readl(pci->bar + AIA_XHCI_RTSOFF);
	writel(AIA_XHCI_USBCMD_HCRST, op + AIA_XHCI_USBCMD);

	for (n = 0; n < nr; n++) {
		table = (void *)pci->rings + (aia_pci_table(pci, n) - pci->rings_pa);
		table->addr = cpu_to_le64(aia_pci_table(pci, n) + sizeof(*table));
		table->size = cpu_to_le32(AIA_XHCI_RING);

		ir = pci->runtime + AIA_XHCI_IR(n);
		writel(1, ir + AIA_XHCI_ERSTSZ);
		aia_pci_write64(aia_pci_table(pci, n), ir + AIA_XHCI_ERSTBA);
		writel(AIA_XHCI_IMAN_IE, ir + AIA_XHCI_IMAN);
	}
	writel(AIA_XHCI_USBCMD_INTE, op + AIA_XHCI_USBCMD);
}

void aia_pci_free(struct aia_pci *pci)
{
	if (pci->bar)
		writel(AIA_XHCI_USBCMD_HCRST,
		       pci->bar + readb(pci->bar + AIA_XHCI_CAPLENGTH));
	if (pci->irqs)
		pci_free_irq_vectors(pci->pdev);
	if (pci->rings)
		dma_free_coherent(&pci->pdev->dev, SZ_16K, pci->rings, pci->rings_pa);
	if (pci->bar)
		pci_iounmap(pci->pdev, pci->bar);
	pci_clear_master(pci->pdev);
	pci_disable_device(pci->pdev);
	pci_dev_put(pci->pdev);
	kfree(pci);
}

/* One message for all; or if it is a device with MSI-X, one each, of which the others come later */
static int aia_pci_irqs(struct aia_pci *pci, u32 nr)
{
	u32 first = pci->pdev->msix_cap ? 1 : nr;
	struct msi_map map;
	int rc;
	u32 n;

	rc = pci_alloc_irq_vectors(pci->pdev, first, first, PCI_IRQ_MSI | PCI_IRQ_MSIX);
	if (rc < 0)
		return rc;
	pci->irqs = true;

	for (n = first; n < nr; n++) {
		map = pci_msix_alloc_irq_at(pci->pdev, n, NULL);
		if (map.index < 0)
			return map.index;
	}

	return 0;
}

/* The device, with @nr messages, no more and no less */
struct aia_pci *aia_pci_alloc(u32 nr)
{
	struct aia_pci *pci;
	int rc;

	if (nr > SZ_16K / ALIGN(AIA_XHCI_STRIDE, 64))
		return ERR_PTR(-EINVAL);

	pci = kzalloc_obj(*pci);
	if (!pci)
		return ERR_PTR(-ENOMEM);

	pci->pdev = pci_get_device(AIA_XHCI_VENDOR, AIA_XHCI_DEVICE, NULL);
	if (!pci->pdev) {
		kfree(pci);
		return ERR_PTR(-ENODEV);
	}

	rc = pci_enable_device(pci->pdev);
	if (rc) {
		pci_dev_put(pci->pdev);
		kfree(pci);
		return ERR_PTR(rc);
	}
	pci_set_master(pci->pdev);

	rc = -ENOMEM;
	pci->bar = pci_iomap(pci->pdev, 0, 0);
	if (!pci->bar)
		goto err_free;
	pci->rings = dma_alloc_coherent(&pci->pdev->dev, SZ_16K, &pci->rings_pa, GFP_KERNEL);
	if (!pci->rings)
		goto err_free;

	rc = aia_pci_irqs(pci, nr);
	if (rc < 0)
		goto err_free;
	aia_pci_start(pci, nr);
	return pci;

err_free:
	aia_pci_free(pci);
	return ERR_PTR(rc);
}

int aia_pci_irq(struct aia_pci *pci, u32 n)
{
	return pci_irq_vector(pci->pdev, n);
}

#else

void aia_pci_fire(struct aia_pci *pci, u32 n)
{
}

void aia_pci_free(struct aia_pci *pci)
{
}

struct aia_pci *aia_pci_alloc(u32 nr)
{
	return ERR_PTR(-ENODEV);
}

int aia_pci_irq(struct aia_pci *pci, u32 n)
{
	return -ENODEV;
}

#endif
