"""Folders of pictures and pairs: conversion, operations, splits."""
