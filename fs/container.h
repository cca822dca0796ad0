/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* The struct that `pointer` is the member of. */
#define fs_container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
