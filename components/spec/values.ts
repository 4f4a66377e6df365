import { Address4, Address6 } from 'ip-address';
import { z } from 'zod';
import { DURATION_PATTERN, PERCENT_PATTERN, SIZE_PATTERN } from './units';

/** The kinds of value that a site file is written with. Each says in words what it takes (`allowed`), for messages. */

export const text = (pattern: RegExp, allowed: string) =>
  z
    .string()
    .regex(pattern, { error: `allowed: ${allowed}` })
    .meta({ allowed });
export const checked = (valid: (value: string) => boolean, allowed: string) =>
  z
    .string()
    .refine(valid, { error: `allowed: ${allowed}` })
    .meta({ allowed });

/** Names become host names, libvirt domains and Pulumi resource names: RFC 1123 labels. */
export const name = () =>
  text(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'lower-case letters, digits and dashes, at most 63');
export const size = () => text(SIZE_PATTERN, 'a whole number and B, KiB, MiB, GiB or TiB, such as 4GiB');
export const duration = () => text(DURATION_PATTERN, 'a number and ms, s, m or h, such as 15s');
export const percent = () => text(PERCENT_PATTERN, 'a number and %, such as 0.5%');
export const millicores = () => text(/^[1-9][0-9]*m$/, 'thousandths of a CPU, such as 200m');
export const sha256 = () => text(/^[0-9a-f]{64}$/, 'the 64 hexadecimal digits that sha256sum prints');
export const mac = () =>
  text(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'six lower-case hexadecimal bytes, such as 52:54:00:12:34:56');

const isIp = (value: string) => !value.includes('/') && (Address4.isValid(value) || Address6.isValid(value));
const isPrefix = (value: string) => value.includes('/') && (Address4.isValid(value) || Address6.isValid(value));
export const ip = () => checked(isIp, 'an IPv4 or IPv6 address without a prefix length, such as 192.0.2.11');
export const hostOrIp = () => text(/^[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?$/, 'a host name or an address');
/** RFC 1123, lower case: what a certificate, a DNS zone or a URL names. */
export const hostName = () =>
  text(
    /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/,
    'a name of lower-case letters, digits, dashes and dots, such as corp.example',
  );
export const addressWithPrefix = () => checked(isPrefix, 'an address and its prefix length, such as 192.0.2.11/24');
/** The plan checks that no host bits are set. */
export const cidr = () => checked(isPrefix, 'a network and its prefix length, such as 10.244.0.0/16');
/** One per family at most: the plan refuses two of the same. */
export const perFamily = <T extends z.ZodType>(item: T) => z.array(item).min(1).max(2);

export const hostKey = () =>
  text(/^ssh-ed25519 [A-Za-z0-9+/]+=*$/, 'the line of ssh_host_ed25519_key.pub without its comment: ssh-ed25519 AAAA…');

/** Kubernetes labels: a value, and a key with or without the domain that owns it. */
export const labelValue = () =>
  text(
    /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
    'letters, digits, dashes, dots and underscores, at most 63, beginning and ending with a letter or digit',
  );
export const labelKey = () =>
  text(
    /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
    'a label key, such as acme.example/disk',
  );
